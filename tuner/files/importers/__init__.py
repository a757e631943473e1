"""Configurations of other trainers as our five files, with a list of what was not carried over."""

from tuner.files.importers.catalog import NAMES, Imported, imported

__all__ = ["NAMES", "Imported", "imported"]

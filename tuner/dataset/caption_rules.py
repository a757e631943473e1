"""What one dataset asks of its captions, from the settings and the files that they name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuner.dataset import caption_edits, tables
from tuner.dataset.caption_edits import SPLITS, Filter, Shuffle
from tuner.dataset.captions import CaptionRules
from tuner.dataset.tables import Table
from tuner.errors import Problem, SettingsInvalid
from tuner.settings.dataset import ImageDataset

LIST_FILES = (".json", ".txt")
"""A caption_filter_list with such an ending names a file."""


def absolute(folder: str) -> Path:
    """A relative path starts at the working folder."""
    return Path(folder).expanduser().absolute()


def captions(one: ImageDataset, seed: int) -> CaptionRules:
    """Reads the table and the list of filters; raises SettingsInvalid."""
    return CaptionRules(
        str(one.caption_strategy),
        _several(one.instance_prompt),
        bool(one.prepend_instance_prompt),
        one.only_instance_prompt,
        one.disable_multiline_split,
        _filters(one),
        _shuffle(one, seed),
        _table(one),
        absolute(one.instance_data_dir),
    )


def _filters(one: ImageDataset) -> tuple[Filter, ...]:
    try:
        return tuple(caption_edits.parsed(entry) for entry in _entries(one.caption_filter_list) if entry)
    except (OSError, ValueError, TypeError) as error:
        raise _invalid(
            one, "caption_filter_list", f"'caption_filter_list' cannot be used: {error}"
        ) from error


def _entries(given: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if not isinstance(given, str) or not given.lower().endswith(LIST_FILES):
        return _several(given)
    text = absolute(given).read_text(encoding="utf-8-sig")
    if not given.lower().endswith(".json"):
        return tuple(text.splitlines())
    entries = json.loads(text)
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise ValueError(f"'{given}' must hold a list of texts")
    return tuple(entries)


def _shuffle(one: ImageDataset, seed: int) -> Shuffle | None:
    asked: Mapping[str, Any] = one.caption_shuffle or {}
    if not asked.get("enable"):
        return None
    known = {"seed": seed, **{key: value for key, value in asked.items() if value is not None}}
    del known["enable"]
    try:
        rules = Shuffle(**known)
    except TypeError:
        raise _wrong_shuffle(one, f"it knows no key {set(known) - set(vars(Shuffle()))}") from None
    if type(rules.count) is not int or rules.count < 1:
        raise _wrong_shuffle(one, "'count' must be a whole number of at least 1")
    if type(rules.position_start) is not int or rules.position_start < 0:
        raise _wrong_shuffle(one, "'position_start' must be a whole number of at least 0")
    if rules.split_on not in SPLITS:
        raise _wrong_shuffle(one, f"'split_on' must be {', '.join(SPLITS)}")
    return rules


def _wrong_shuffle(one: ImageDataset, why: str) -> SettingsInvalid:
    return _invalid(one, "caption_shuffle", f"'caption_shuffle' cannot be used: {why}.")


def _table(one: ImageDataset) -> Table:
    """Of the strategies csv and parquet; empty for the others."""
    try:
        if one.caption_strategy == "csv":
            path = absolute(str(one.csv_file))
            return tables.read(path, one.csv_url_column, _several(one.csv_caption_column))
        if one.caption_strategy == "parquet":
            asked: Mapping[str, Any] = one.parquet or {}
            return tables.read(
                absolute(str(asked["path"])),
                str(asked["filename_column"]),
                _several(asked["caption_column"]),
                _several(asked.get("fallback_caption_column")),
            )
    except ValueError as error:
        raise _invalid(one, "csv_file" if one.caption_strategy == "csv" else "parquet", str(error)) from error
    return {}


def _several(given: Any) -> tuple[str, ...]:
    """One text, several, or none."""
    return (given,) if isinstance(given, str) else tuple(given or ())


def _invalid(one: ImageDataset, key: str, message: str) -> SettingsInvalid:
    where = f"datasets.{one.id}.{key}"
    return SettingsInvalid(Problem(where, key, getattr(one, key), f"Dataset '{one.id}': {message}"))

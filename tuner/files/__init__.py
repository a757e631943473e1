"""The five config files of SimpleTuner, both directions: the seam between asking and running."""

from tuner.files.change import changed
from tuner.files.folder import Loaded, config_folder, load_all, overlaid, save_all
from tuner.files.lycoris_json import read_lycoris

__all__ = ["Loaded", "changed", "config_folder", "load_all", "overlaid", "read_lycoris", "save_all"]

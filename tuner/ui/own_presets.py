"""The presets that the user has saved: a folder of the five files each, without pictures and prompts."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

from tuner import files, presets
from tuner.errors import Advice, TunerError
from tuner.settings.run import RunSettings

NO_NAME = 'A name needs at least one character, and none of \\ / : * ? " < > |.'


def checked(name: str) -> str:
    """A name that can be that of a folder, on every system; raises TunerError."""
    name = name.strip()
    if not re.fullmatch(r"[^\\/:*?\"<>|.][^\\/:*?\"<>|]*", name):
        raise TunerError(NO_NAME)
    return name


class OwnPresets:
    """Those in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(path.parent.name for path in self.folder.glob("*/config.json")))

    def settings_of(self, name: str) -> RunSettings:
        """Raises TunerError where its files cannot be read."""
        return files.load_all(self.folder / name).settings

    def save(self, name: str, settings: RunSettings, like: RunSettings) -> str:
        """Keep settings under a name, which is returned; pictures and prompts are those of the preset `like`.
        One of the same name is replaced.
        """
        name = checked(name)
        if name in ready_made():
            raise TunerError(f"'{name}' is the name of a ready-made preset.", Advice("Choose another name."))
        bare = replace(settings, datasets=like.datasets, library=like.library)
        shutil.rmtree(self.folder / name, ignore_errors=True)
        files.save_all(bare, self.folder / name)
        return name

    def delete(self, name: str) -> None:
        if name not in self.names():
            raise TunerError(f"There is no preset of your own called '{name}'.")
        shutil.rmtree(self.folder / name)


def ready_made() -> tuple[str, ...]:
    return tuple(one.name for one in presets.listed())

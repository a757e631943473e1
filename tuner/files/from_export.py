"""The way back: the recipe that an exported LoRA carries in its header, as the settings of a new run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tuner.files.config_json as config_json
import tuner.files.env_file as env_file
from tuner.errors import Advice, TunerError
from tuner.files.change import changed
from tuner.files.documents import parse_json, to_json
from tuner.files.five import KINDS, read
from tuner.files.folder import Loaded
from tuner.flux import headers

KEY = "fluxtuner.recipe"
STEP, MEAN = "global_step", "fluxtuner.running_mean"
PICTURES = Path("datasets")


def load_export(file: Path, run: Path, pictures: Path | None = None) -> Loaded:
    """The settings that a LoRA was trained with, for a run in the folder `run`. Raises TunerError where the
    file holds no recipe.

    Where pictures lay is told by no header: `pictures` are those of the first dataset, and a note says where
    others are looked for.
    """
    told = headers.metadata(file).get(KEY)
    if told is None:
        raise TunerError(
            f"'{file.name}' holds no recipe of FluxTuner.",
            Advice("Choose a LoRA that FluxTuner exported, or start from this one with 'init_lora'."),
        )
    documents: dict[str, Any] = parse_json(told, dict, file)
    documents.setdefault(config_json.NAME, {})
    five = read(_texts(documents), {})
    homeless = [one.id for one in five.settings.datasets if not one.instance_data_dir]
    folders = {name: (PICTURES / name).as_posix() for name in homeless}
    notes = [
        f"Put the pictures of '{name}' into '{folders[name]}', or change its folder." for name in homeless
    ]
    if pictures is not None and homeless:
        folders[homeless[0]] = pictures.as_posix()
        del notes[0]
    change = {f"datasets.{name}.instance_data_dir": folder for name, folder in folders.items()}
    settings = changed(five.settings, {"saving.output_dir": run.as_posix(), **change})
    return Loaded(settings, tuple(notes))


def origin(file: Path) -> tuple[int, bool]:
    """(the step of the checkpoint that was exported, whether it was the running mean of the adapter)"""
    told = headers.metadata(file)
    if not told.get(STEP, "").isdigit():
        raise TunerError(
            f"'{file.name}' does not say which checkpoint it was made of.", Advice("Export it once more.")
        )
    return int(told[STEP]), MEAN in told


def _texts(documents: Mapping[str, Any]) -> dict[str, str]:
    texts = {name: to_json(document) for name, document in documents.items() if name in KINDS and document}
    environment = documents.get(env_file.NAME) or {}
    if environment:
        texts[env_file.NAME] = "".join(f"{name}={value}\n" for name, value in environment.items())
    return texts

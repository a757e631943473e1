"""Presets: ready-made recipes, each a folder in `presets/` with only what differs from `presets/_base`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tuner.errors import TunerError
from tuner.files import changed, databackend_json, env_file, prompt_library_json, save_all
from tuner.files.documents import parse_json, read_text, to_json
from tuner.files.five import read
from tuner.machine import Reading

FOLDER = Path(__file__).parents[1] / "presets"
BASE = FOLDER / "_base"
SPARE_VRAM_GB = 1.0
"""What the desktop and other programs take of a card."""
UNSURE = 1.2
"""A run that nobody has measured may need that much more than its forecast."""


@dataclass(frozen=True)
class Preset:
    """`vram_gb` and `ram_gb` are what a run needs (0: no card); `whence` says how that is known."""

    name: str
    title: str
    card: str
    summary: str
    vram_gb: float
    ram_gb: float
    whence: str


@cache
def listed() -> tuple[Preset, ...]:
    """All presets, the smallest card first."""
    found = [
        Preset(path.parent.name, **parse_json(read_text(path), dict, path))
        for path in FOLDER.glob("*/preset.json")
    ]
    return tuple(sorted(found, key=lambda preset: (preset.vram_gb, preset.name)))


def recommended(reading: Reading) -> Preset:
    """The largest preset that this computer's card can hold; practice where there is none."""
    there = max((reading.vram_total_gb or 0.0) - SPARE_VRAM_GB, 0.0)
    return [preset for preset in listed() if _safe_gb(preset) <= there][-1]


def _safe_gb(preset: Preset) -> float:
    return preset.vram_gb * (1.0 if preset.whence.startswith("measured") else UNSURE)


NOTHING: Mapping[str, Any] = {}


def apply(name: str, folder: Path, change: Mapping[str, Any] = NOTHING) -> Path:
    """Writes the five files of a preset into `folder`, settings changed by dotted path; returns `folder`.

    Raises TunerError for a preset that there is not, SettingsInvalid for a change that is not allowed.
    """
    if name not in [preset.name for preset in listed()]:
        raise TunerError(
            f"There is no preset '{name}'; there are {', '.join(preset.name for preset in listed())}."
        )
    settings = read(_texts(name), {}).settings
    save_all(changed(settings, change), folder)
    return folder


def _texts(name: str) -> dict[str, str]:
    """The five files of a preset: the base's, with the preset's own words in them."""
    texts = {path.name: read_text(path) for path in sorted(BASE.iterdir())}
    for path in (FOLDER / name).iterdir():
        if path.name in texts:
            texts[path.name] = _merged(path.name, texts[path.name], read_text(path))
    return texts


def _merged(file: str, base: str, own: str) -> str:
    if file == env_file.NAME:
        return env_file.write(base, {}, env_file.read(own)[0])
    start, words = json.loads(base), json.loads(own)
    if file == databackend_json.NAME:
        return to_json(_merged_lists(start, words))
    return to_json(words if file == prompt_library_json.NAME else {**start, **words})


def _merged_lists(base: Sequence[dict[str, Any]], own: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries of the same id become one; others come on top."""
    words = {entry["id"]: entry for entry in own}
    return [{**entry, **words.pop(entry["id"], {})} for entry in base] + list(words.values())

"""Presets: ready-made recipes, each a folder in `presets/` with only what differs from `presets/_base`; which
of them a computer can hold is forecast.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from math import floor
from pathlib import Path
from typing import Any, Literal

from tuner.dataset.index import DatasetEntry, DatasetIndex, Picture
from tuner.errors import TunerError
from tuner.files import changed, databackend_json, env_file, prompt_library_json, save_all
from tuner.files.documents import parse_json, read_text, to_json
from tuner.files.five import read
from tuner.machine import Reading
from tuner.plan import fitting, levers, peaks
from tuner.plan.memory import ADAPTER_BYTES, forecast, num_adapter_parameters
from tuner.plan.peaks import Need
from tuner.plan.sizes import shape
from tuner.settings.run import RunSettings

FOLDER = Path(__file__).parents[1] / "presets"
BASE = FOLDER / "_base"
SPARE_VRAM_GB = 0.75
"""What the desktop and other programs take of a card."""


@dataclass(frozen=True)
class Preset:
    """Made for cards of `card_gb` (0: for none). `vram_gb` and `ram_gb` are what a run needs on such a card,
    in whole GB; `whence` says how that is known.
    """

    name: str
    title: str
    card: str
    card_gb: int
    summary: str
    vram_gb: float
    ram_gb: float
    whence: str


@dataclass(frozen=True)
class Outlook:
    """What a run with a preset needs, in GB, and whether that is free on one computer.

    "tight": it is, but the card is smaller than the preset is made for, or other programs have so much of it
    that more has to leave it; `levers` says what. `whence`: how the need is known.
    """

    preset: Preset
    state: Literal["fits", "tight", "no"]
    vram_gb: float
    ram_gb: float
    levers: str
    whence: str


@cache
def listed() -> tuple[Preset, ...]:
    """All presets, the smallest card first."""
    found = [
        Preset(path.parent.name, **parse_json(read_text(path), dict, path))
        for path in FOLDER.glob("*/preset.json")
    ]
    return tuple(sorted(found, key=lambda preset: (preset.card_gb, preset.name)))


def recommended(reading: Reading) -> Preset:
    """The one for the largest card that this computer's free memory can stand for; on a card that is too
    small for all, the smallest that is tight; practice where there is no card.
    """
    outlooks = [outlook(preset, reading) for preset in listed()]
    fitting_ones = [one.preset for one in outlooks if one.state == "fits" and one.preset.card_gb]
    tight_ones = [one.preset for one in outlooks if one.state == "tight"]
    return [*listed()[:1], *tight_ones[:1], *fitting_ones][-1]


def outlook(preset: Preset, reading: Reading, settings: RunSettings | None = None) -> Outlook:
    """Judged by the memory that is free at this moment; `settings` where the preset is not a listed one."""
    free_gb = _free_vram_gb(reading)
    meant_gb = preset.card_gb - SPARE_VRAM_GB if preset.card_gb else free_gb

    def needed(on_gb: float | None) -> tuple[Need, str]:
        tenths_gb = None if on_gb is None else floor(on_gb * 10) / 10
        if settings is None:
            return _need(preset.name, tenths_gb, reading.gpu_name, peaks.stamp())
        return need_of(settings, tenths_gb, reading.gpu_name)

    need, said = needed(None if free_gb is None or meant_gb is None else min(free_gb, meant_gb))
    free_ram_gb = fitting.MARGIN * (reading.ram_total_gb - reading.ram_used_gb)
    there = fitting.MARGIN * (free_gb or 0.0)
    if need.ram_gb > free_ram_gb or need.vram_gb > there or (preset.card_gb and free_gb is None):
        return Outlook(preset, "no", preset.vram_gb, preset.ram_gb, "", preset.whence.split(":")[0])
    found = Outlook(preset, "fits", need.vram_gb, need.ram_gb, "", need.whence)
    is_meant = (reading.vram_total_gb or 0.0) >= (meant_gb or 0.0) and said == needed(meant_gb)[1]
    return found if is_meant else replace(found, state="tight", levers=said)


def _free_vram_gb(reading: Reading) -> float | None:
    if reading.vram_total_gb is None:
        return None
    return reading.vram_total_gb - (reading.vram_used_gb or 0.0)


@lru_cache(maxsize=256)
def _need(name: str, free_vram_gb: float | None, gpu_name: str | None, _: int) -> tuple[Need, str]:
    """Another one whenever something was learned."""
    return need_of(settings_of(name), free_vram_gb, gpu_name)


def need_of(settings: RunSettings, free_vram_gb: float | None, gpu_name: str | None) -> tuple[Need, str]:
    """The most of all phases, and what leaves the card in words; room that is left over stays so."""
    settings = changed(settings, {"memory.checkpointing_fill": "never"})
    card = Reading(0.0, 0.0, 0.0, 0.0, vram_total_gb=free_vram_gb, gpu_name=gpu_name)
    index = one_picture(settings)
    chosen = fitting.choose(settings, index, card)
    needs = forecast(settings, index, card, chosen).values()
    most = max(needs)._replace(ram_gb=max(one.ram_gb for one in needs))
    return most, levers.words(chosen, shape(settings).blocks)


def one_picture(settings: RunSettings) -> DatasetIndex:
    """A square one of the preset's resolution stands for all."""
    asked = settings.dataset
    is_area = asked.resolution_type == "area"
    size = (int((asked.resolution * 1e6) ** 0.5 if is_area else asked.resolution),) * 2
    picture = Picture(Path(), "pictures", "", size, size, size, (0, 0), "1.0", ("",))
    return DatasetIndex((DatasetEntry("pictures", (picture,), 0, 1.0, 1),))


def file_mb(settings: RunSettings) -> float:
    """The size of the adapter that these settings make."""
    return num_adapter_parameters(settings, shape(settings)) * ADAPTER_BYTES / 1e6


@cache
def settings_of(name: str) -> RunSettings:
    """What the files of a preset say."""
    return read(_texts(name), {}).settings


NOTHING: Mapping[str, Any] = {}


def apply(name: str, folder: Path, change: Mapping[str, Any] = NOTHING) -> Path:
    """Writes the five files of a preset into `folder`, settings changed by dotted path; returns `folder`.

    Raises TunerError for a preset that there is not, SettingsInvalid for a change that is not allowed.
    """
    if name not in [preset.name for preset in listed()]:
        raise TunerError(
            f"There is no preset '{name}'; there are {', '.join(preset.name for preset in listed())}."
        )
    save_all(changed(settings_of(name), change), folder)
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

"""What FLUX.1 takes of a card in each precision, beside the figures that SimpleTuner's guide names for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from tuner import files, presets
from tuner.bench.shared import Asked, about
from tuner.bench.whole import measured_run, settings_of
from tuner.machine import Reading
from tuner.plan import fitting
from tuner.plan.memory import forecast
from tuner.settings.run import RunSettings


class Row(NamedTuple):
    """One figure of the guide, and at most which share of it is wanted here."""

    precision: str
    resolution_px: int
    guide_gb: float
    most_ratio: float


ROWS = (
    Row("no_change", 1024, 30, 0.75),
    Row("int8-quanto", 1024, 18, 0.75),
    Row("int4-quanto", 1024, 13, 0.70),
    Row("nf4-bnb", 512, 9, 0.80),
    Row("int2-quanto", 512, 9, 0.60),
)
PRESET = "24gb-int8"
LEAN: Mapping[str, Any] = {
    "adapter.lora_rank": 16,
    "adapter.flux_lora_target": "all+ffs",
    "optimization.train_batch_size": 1,
    "memory.modulation_eviction": "always",
    "memory.checkpointing_fill": "never",
    "memory.text_encoder_streaming": "always",
}
"""The guide's rank and targets, and all that takes little time and is not on the card for it."""
LARGE = Reading(0.0, 0.0, 0.0, 0.0, vram_total_gb=100.0, vram_used_gb=0.0)
"""No card of this name has ever learned anything."""


def guide(asked: Asked) -> dict[str, Any]:
    """A forecast for each row; with `random_weights` or `toy` also what was measured."""
    asked, measures = replace(asked, preset=PRESET), asked.random_weights or asked.toy
    settings = {**settings_of(asked), "change": dict(LEAN), "measured": measures}
    rows = [{**row._asdict(), **_forecast(row)} for row in ROWS]
    if measures:
        rows = [{**one, **_measured(asked, row)} for row, one in zip(ROWS, rows, strict=True)]
    return {**about("guide", settings), "rows": rows}


def _change(row: Row) -> dict[str, Any]:
    return {**LEAN, "memory.base_model_precision": row.precision, "dataset.resolution": row.resolution_px}


def _forecast(row: Row) -> dict[str, Any]:
    """Without previews, and with them at the row's own size."""
    size = f"{row.resolution_px}x{row.resolution_px}"
    change = {**_change(row), "sampling.validation_resolution": size}
    shown = files.changed(presets.settings_of(PRESET), change)
    hidden = files.changed(shown, {"sampling.validation_disable": True})
    peak_gb = _peak_gb(hidden)
    return {
        "forecast_vram_gb": round(peak_gb, 2),
        "forecast_with_previews_vram_gb": round(_peak_gb(shown), 2),
        "forecast_ratio": round(peak_gb / row.guide_gb, 3),
    }


def _peak_gb(settings: RunSettings) -> float:
    index = presets.one_picture(settings)
    levers = fitting.choose(settings, index, LARGE)
    return max(one.vram_gb for one in forecast(settings, index, LARGE, levers).values())


def _measured(asked: Asked, row: Row) -> dict[str, Any]:
    """The peak of all phases, previews apart, by the guide's figure and by the forecast of that very run."""
    change = _change(row)
    if asked.toy:
        change.pop("dataset.resolution")
    figures = measured_run(asked, change)
    phases = ("text", "latents", "load", "train", "export")
    peak_gb = max(figures[f"{phase}_peak_vram_gb"] for phase in phases)
    trained_gb, expected_gb = figures["train_with_previews_peak_vram_gb"], figures["train_forecast_vram_gb"]
    return {
        "peak_vram_gb": peak_gb,
        "with_previews_peak_vram_gb": max(peak_gb, trained_gb),
        "ratio": round(peak_gb / row.guide_gb, 3),
        "of_forecast_ratio": round(trained_gb / expected_gb, 3) if expected_gb else None,
        "step_seconds": figures["step_seconds"],
        "train_peak_host_gb": figures["train_peak_host_gb"],
        "train_forecast_host_gb": figures["train_forecast_host_gb"],
    }

"""A run as a plan: frozen records that are shown before Start and then executed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tuner.dataset.index import DatasetIndex
from tuner.files.run_folder import RunFolder
from tuner.plan.levers import ALL_THERE, Levers
from tuner.plan.peaks import FORECAST
from tuner.settings.run import RunSettings


@dataclass(frozen=True)
class Phase:
    """One stretch of the run in which at most one big model is loaded.

    `total` counts what the phase works through (captions, pictures, steps); `cached` how many of them are
    there already. `whence` says how its need of memory is known: forecast, or measured here on a day.
    """

    name: str
    title: str
    total: int = 0
    cached: int = 0
    vram_gb: float = 0.0
    ram_gb: float = 0.0
    whence: str = FORECAST


@dataclass(frozen=True)
class Plan:
    """Everything `training.run` needs. `num_steps` counts the updates of the whole run, resumed or not;
    `epoch_ends` are the steps with which its epochs end; `damaged` are checkpoints that are passed over, and
    deleted when the run begins.
    """

    settings: RunSettings
    folder: RunFolder
    index: DatasetIndex
    phases: tuple[Phase, ...]
    num_steps: int
    epoch_ends: tuple[int, ...]
    resume_from: Path | None = None
    first_step: int = 0
    damaged: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    levers: Levers = ALL_THERE

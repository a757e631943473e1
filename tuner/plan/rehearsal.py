"""A rehearsal: a run of two steps that is otherwise the real one, and what it tells of the real one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tuner import files
from tuner.events import CheckpointSaved, Event, PhaseMeasured, RunFinished, SampleReady, StepDone
from tuner.settings.run import RunSettings

STEPS = 2
SAMPLE_STEPS = 4
"""Of size a sample is as in the real run, since its peak counts; it is only less finished."""


@dataclass(frozen=True)
class Measured:
    """`sample_seconds` is that of one sample with all its steps, about; None where none was drawn."""

    step_seconds: float
    sample_seconds: float | None
    peak_vram_gb: float
    peak_ram_gb: float


def rehearsed(settings: RunSettings, folder: Path) -> RunSettings:
    """The settings of the rehearsal in `folder`. What it encodes is left for the real run. Raises
    SettingsInvalid.
    """
    cache = settings.dataset.cache_dir or (Path(settings.saving.output_dir) / "cache").as_posix()
    sampling = settings.sampling
    change: dict[str, object] = {
        "saving.output_dir": folder.as_posix(),
        "saving.tracker_run_name": folder.name,
        "saving.resume_from_checkpoint": "",
        "saving.checkpoint_step_interval": STEPS,
        "saving.checkpoint_epoch_interval": None,
        "dataset.cache_dir": cache,
        "optimization.max_train_steps": STEPS,
        "optimization.num_train_epochs": None,
        "sampling.disable_benchmark": True,
        "sampling.validation_on_startup": False,
        "sampling.validation_num_inference_steps": min(SAMPLE_STEPS, sampling.validation_num_inference_steps),
        "sampling.num_validation_images": 1,
        "sampling.eval_steps_interval": None,
    }
    if settings.adapter.init_lora:
        change["adapter.init_lora_step"] = 0
    return files.changed(settings, change)


def measured(events: Iterable[Event], settings: RunSettings) -> Measured | None:
    """What a rehearsal tells of a run with these settings; None of one that did not come to its end. The
    first step counts for nothing: it warms up.
    """
    seen = list(events)
    steps = [one for one in seen if isinstance(one, StepDone)]
    if len(steps) < STEPS or not any(isinstance(one, RunFinished) for one in seen):
        return None
    peaks = [one for one in seen if isinstance(one, PhaseMeasured)]
    return Measured(
        steps[-1].seconds,
        _sample_seconds(seen, settings.sampling.validation_num_inference_steps),
        max((one.peak_vram_gb for one in peaks), default=0.0),
        max((one.peak_ram_gb for one in peaks), default=0.0),
    )


def _sample_seconds(events: Iterable[Event], num_steps: int) -> float | None:
    """From the checkpoint to the last sample, shared among the samples."""
    begun, drawn = 0.0, []
    for one in events:
        if isinstance(one, CheckpointSaved):
            begun = one.time
        elif isinstance(one, SampleReady):
            drawn.append(one.time)
    return (drawn[-1] - begun) / len(drawn) * num_steps / min(SAMPLE_STEPS, num_steps) if drawn else None


def num_samples(settings: RunSettings, num_steps: int) -> int:
    """How often samples are drawn in a whole run: before it, every so many steps, and in the end."""
    sampling = settings.sampling
    every = sampling.validation_step_interval or num_steps
    return (not sampling.disable_benchmark) + -(-num_steps // every)

"""A whole run at FLUX.1's own size with weights that mean nothing: how long a step takes, and what each phase
takes of the card and of the computer beside what was forecast.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuner import machine, presets
from tuner.bench.cache import draw
from tuner.bench.loop import against_bare
from tuner.bench.shared import Asked, about, figures
from tuner.errors import Advice, TunerError

NUM_STEPS = 12


def step(asked: Asked) -> dict[str, Any]:
    """Seconds a step and peaks of a preset; without `random_weights` and `toy`, ours against a bare loop."""
    if not (asked.random_weights or asked.toy):
        return against_bare(asked.rounds)
    return {**about("step", settings_of(asked)), **measured_run(asked)}


def memory(asked: Asked) -> dict[str, Any]:
    """Peaks of a preset's phases beside the forecast."""
    return {**about("memory", settings_of(asked)), **measured_run(asked)}


def settings_of(asked: Asked) -> dict[str, Any]:
    """What a benchmark's record says of its runs."""
    return {
        "preset": "practice" if asked.toy else asked.preset,
        "num_steps": NUM_STEPS,
        "card_gb": asked.card,
        "random_weights": asked.random_weights and not asked.toy,
        "toy": asked.toy,
    }


def measured_run(asked: Asked, change: Mapping[str, Any] = presets.NOTHING) -> dict[str, Any]:
    """Figures of a run with the preset, changed by dotted path. Raises TunerError where FLUX.1 in full size
    would have to run on a processor.
    """
    if not asked.toy and machine.read().gpu_name is None:
        raise TunerError(
            "A step of FLUX.1 in full size takes hours on a processor.", Advice("Add --toy, or use a card.")
        )
    chosen = settings_of(asked)
    with tempfile.TemporaryDirectory() as scratch:
        model, pictures = Path(scratch) / "model", Path(scratch) / "pictures"
        spec = {"folder": str(model), "blocks": (19, 38), "t5_layers": 24, "holes": True, "toy": asked.toy}
        figures("tuner.bench.synthetic", spec)
        draw(pictures, 4, (96, 96) if asked.toy else (1280, 1280))
        own = {
            "model.pretrained_model_name_or_path": str(model),
            "saving.output_dir": str(Path(scratch) / "run"),
            "saving.checkpoint_step_interval": NUM_STEPS,
            "optimization.max_train_steps": NUM_STEPS,
            "sampling.validation_step_interval": NUM_STEPS,
        }
        config = presets.apply(chosen["preset"], Path(scratch) / "config", {**own, **change})
        given = {**chosen, "config": str(config), "pictures": str(pictures)}
        measured: dict[str, Any] = figures("tuner.bench.run_once", given)
    return measured

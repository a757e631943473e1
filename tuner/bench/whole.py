"""A whole run at FLUX.1's own size with weights that mean nothing: how long a step takes, and what each phase
takes of the card and of the computer beside what was forecast.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from tuner import presets
from tuner.bench.cache import draw
from tuner.bench.loop import against_bare
from tuner.bench.shared import Asked, about, figures

NUM_STEPS = 12
CAPTIONS = (4, 32)
"""Two numbers of captions, between which the need of memory must not grow."""


def step(asked: Asked) -> dict[str, Any]:
    """Seconds a step and peaks of a preset; without `random_weights` and `toy`, ours against a bare loop."""
    if not (asked.random_weights or asked.toy):
        return against_bare(asked.rounds)
    return {**about("step", _settings(asked)), **_run(asked)}


def memory(asked: Asked) -> dict[str, Any]:
    """Peaks of a preset's phases beside the forecast, and of T5 read layer by layer."""
    t5 = {"t5_layers": 2 if asked.toy else 3, "num_captions": CAPTIONS, "num_text_tokens": 64}
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch) / "model"
        spec = {"folder": str(model), "t5_layers": 3, "clip_layers": 2, "toy": asked.toy}
        figures("tuner.bench.synthetic", spec)
        peaks = {
            f"t5_{number}_captions_extra_host_gb": figures(
                "tuner.bench.text_once", {**t5, "model": str(model), "num_captions": number}
            )
            for number in CAPTIONS
        }
    return {**about("memory", {**_settings(asked), **t5}), **peaks, **_run(asked)}


def _settings(asked: Asked) -> dict[str, Any]:
    return {
        "preset": "practice" if asked.toy else asked.preset,
        "num_steps": NUM_STEPS,
        "card_gb": asked.card,
        "random_weights": asked.random_weights and not asked.toy,
        "toy": asked.toy,
    }


def _run(asked: Asked) -> dict[str, Any]:
    """On the processor FLUX.1 itself would take hours a step, so `toy` is what can be measured there."""
    chosen = _settings(asked)
    with tempfile.TemporaryDirectory() as scratch:
        model, pictures = Path(scratch) / "model", Path(scratch) / "pictures"
        spec = {"folder": str(model), "blocks": (19, 38), "t5_layers": 24, "holes": True, "toy": asked.toy}
        figures("tuner.bench.synthetic", spec)
        draw(pictures, 4, (96, 96) if asked.toy else (1280, 1280))
        change = {
            "model.pretrained_model_name_or_path": str(model),
            "saving.output_dir": str(Path(scratch) / "run"),
            "saving.checkpoint_step_interval": NUM_STEPS,
            "optimization.max_train_steps": NUM_STEPS,
            "sampling.validation_step_interval": NUM_STEPS,
        }
        config = presets.apply(chosen["preset"], Path(scratch) / "config", change)
        given = {**chosen, "config": str(config), "pictures": str(pictures)}
        measured: dict[str, Any] = figures("tuner.bench.run_once", given)
    return measured

"""What the trainer adds to the bare loop, as ratios measured in one run, in CPU seconds.

Both sides run in processes of their own, in turn and on one thread each, so that a busy machine slows both
alike.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

from tuner import files, presets, session
from tuner.bench.shared import about, figures
from tuner.events import Event, StepDone
from tuner.flux.targets import TARGETS
from tuner.plan import sources

STEPS = 150
WARM_STEPS = 5
"""Steps that are not counted, as in `training.bare`."""


def against_bare(rounds: int, steps: int = STEPS) -> dict[str, Any]:
    """The trainer's loop and start against the bare loop, both on the practice model, pictures and LoRA.

    `step_ratio` is the median of the paired ratios of CPU seconds a step; `start_extra_cpu_seconds` the
    median of what our start takes more, up to the end of the first step, both from an empty cache.
    """
    with tempfile.TemporaryDirectory() as scratch:
        config = presets.apply("practice", Path(scratch) / "config")
        pairs = []
        for number in range(rounds):
            bare = _bare(config, steps)
            pairs.append((bare, _ours(config, steps, Path(scratch) / f"run-{number}")))
    medians = {
        f"{side}_{name}": round(statistics.median(pair[place][name] for pair in pairs), 4)
        for place, side in enumerate(("bare", "ours"))
        for name in ("step_cpu_seconds", "start_cpu_seconds")
    }
    ratios = [round(ours["step_cpu_seconds"] / bare["step_cpu_seconds"], 4) for bare, ours in pairs]
    extra = [round(ours["start_cpu_seconds"] - bare["start_cpu_seconds"], 2) for bare, ours in pairs]
    return {
        **about("step", {"num_steps": steps, "num_rounds": rounds, "preset": "practice"}),
        **medians,
        "step_ratios": ratios,
        "step_ratio": statistics.median(ratios),
        "start_extras_cpu_seconds": extra,
        "start_extra_cpu_seconds": statistics.median(extra),
    }


def _bare(config: Path, steps: int) -> dict[str, float]:
    plan = session.prepare(config, resume=False)
    settings = plan.settings
    spec = {
        "model": sources.model_place(settings),
        "pictures": [str(picture.path) for picture in plan.index.pictures],
        "num_text_tokens": sources.num_text_tokens(settings),
        "rank": settings.adapter.lora_rank,
        "targets": list(TARGETS[settings.adapter.flux_lora_target]),
        "lr": settings.optimization.learning_rate,
        "batch": settings.optimization.train_batch_size,
        "steps": steps,
    }
    return _alone("tuner.training.bare", spec)


def _ours(config: Path, steps: int, folder: Path) -> dict[str, float]:
    change = {
        "saving.output_dir": str(folder),
        "optimization.max_train_steps": steps,
        "sampling.validation_disable": True,
        "saving.checkpoint_step_interval": 10 * steps,
    }
    settings = files.load_all(files.config_folder(config)).settings
    files.save_all(files.changed(settings, change), folder / "config")
    return _alone("tuner.bench.loop", str(folder / "config"))


def _alone(module: str, spec: Any) -> dict[str, float]:
    """On one thread."""
    return cast(dict[str, float], figures(module, spec, {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}))


class _MeasuredSession(session.Session):
    """A session that reads the process's CPU clock at every step: journal, log and view are part of what is
    measured.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.clock: list[float] = []

    def _publish(self, event: Event) -> None:
        super()._publish(event)
        if isinstance(event, StepDone):
            self.clock.append(time.process_time())

    def figures(self) -> dict[str, float]:
        counted = len(self.clock) - WARM_STEPS
        spent = self.clock[-1] - self.clock[WARM_STEPS - 1]
        return {"start_cpu_seconds": self.clock[0], "step_cpu_seconds": spent / max(1, counted)}


def _measure(config: Path) -> dict[str, float]:
    measured = _MeasuredSession(config)
    measured.start(config)
    measured.join()
    if measured.error is not None:
        raise measured.error
    return measured.figures()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(Path(json.loads(sys.argv[1])))) + "\n")

"""Benchmarks: what the trainer adds to the work itself, as ratios measured in one run, in CPU seconds.

Both sides run in processes of their own, in turn and on one thread each, so that a busy machine slows both
alike.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from tuner import files, presets, session
from tuner.errors import TunerError
from tuner.events import Event, StepDone
from tuner.flux.targets import TARGETS
from tuner.plan import sources

ROOT = Path(__file__).resolve().parent.parent
WARM_STEPS = 5
"""Steps that are not counted, as in `training.bare`."""


def step(rounds: int = 3, steps: int = 150) -> dict[str, Any]:
    """The trainer's loop and start against the bare loop, both on the practice model, pictures and LoRA.

    `step_ratio` is the median of the paired ratios of CPU seconds a step; `start_extra_cpu_seconds` the
    median of what our start takes more, up to the end of the first step, both from an empty cache.
    """
    with tempfile.TemporaryDirectory() as scratch:
        config = presets.apply("practice", Path(scratch) / "config")
        pairs = []
        for number in range(rounds):
            bare = _bare(config, steps, Path(scratch) / f"{number}.json")
            pairs.append((bare, _ours(config, steps, Path(scratch) / f"run-{number}")))
    figures = {
        f"{side}_{name}": round(statistics.median(pair[place][name] for pair in pairs), 4)
        for place, side in enumerate(("bare", "ours"))
        for name in ("step_cpu_seconds", "start_cpu_seconds")
    }
    ratios = [round(ours["step_cpu_seconds"] / bare["step_cpu_seconds"], 4) for bare, ours in pairs]
    extra = [round(ours["start_cpu_seconds"] - bare["start_cpu_seconds"], 2) for bare, ours in pairs]
    return {
        "benchmark": "step",
        "machine": {"processor": platform.machine(), "num_cores": os.cpu_count()},
        "versions": {name: version(name) for name in ("torch", "diffusers", "transformers", "peft")},
        "num_steps": steps,
        "num_rounds": rounds,
        **figures,
        "step_ratios": ratios,
        "step_ratio": statistics.median(ratios),
        "start_extras_cpu_seconds": extra,
        "start_extra_cpu_seconds": statistics.median(extra),
    }


def page(rounds: int = 3) -> dict[str, Any]:
    """From `python app.py` to a page that is served, against `import gradio` alone, in CPU seconds."""
    pairs = [(_import_gradio(), _serve_page()) for _ in range(rounds)]
    ratios = [round(served / imported, 4) for imported, served in pairs]
    return {
        "benchmark": "page",
        "machine": {"processor": platform.machine(), "num_cores": os.cpu_count()},
        "versions": {"gradio": version("gradio")},
        "num_rounds": rounds,
        "import_gradio_cpu_seconds": round(statistics.median(imported for imported, _ in pairs), 3),
        "served_page_cpu_seconds": round(statistics.median(served for _, served in pairs), 3),
        "start_ratios": ratios,
        "start_ratio": statistics.median(ratios),
    }


def _import_gradio() -> float:
    before = os.times()
    subprocess.run([sys.executable, "-c", "import gradio"], check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def _serve_page() -> float:
    """Waits for the address that the app prints, and for the page behind it."""
    with tempfile.TemporaryDirectory() as root:
        command = [sys.executable, str(ROOT / "app.py"), "--no-browser", "--root", root]
        app = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert app.stdout is not None
            address = next(line.split()[1] for line in app.stdout if line.startswith("FluxTuner: http"))
            with urllib.request.urlopen(address) as answer:
                answer.read()
            spent = psutil.Process(app.pid).cpu_times()
        finally:
            app.terminate()
            app.wait()
    return float(spent.user + spent.system)


def _bare(config: Path, steps: int, spec_file: Path) -> dict[str, float]:
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
    spec_file.write_text(json.dumps(spec), encoding="utf-8")
    return _figures("tuner.training.bare", str(spec_file))


def _ours(config: Path, steps: int, folder: Path) -> dict[str, float]:
    change = {
        "saving.output_dir": str(folder),
        "optimization.max_train_steps": steps,
        "sampling.validation_disable": True,
        "saving.checkpoint_step_interval": 10 * steps,
    }
    settings = files.load_all(files.config_folder(config)).settings
    files.save_all(files.changed(settings, change), folder / "config")
    return _figures("tuner.bench", str(folder / "config"))


def _figures(module: str, *arguments: str) -> dict[str, float]:
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
    if done.returncode:
        raise TunerError(f"One side of the benchmark ended with: {done.stderr.strip().splitlines()[-1:]}")
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


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
    sys.stdout.write(json.dumps(_measure(Path(sys.argv[1]))) + "\n")

"""What to send along with a bug report: the program, the computer, the run and the end of its log, without
anybody's name, folders or tokens.
"""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from pathlib import Path

import tuner
from tuner.export.private import without_private
from tuner.machine import Reading
from tuner.ui import wording
from tuner.view import RunView

LIBRARIES = ("torch", "diffusers", "transformers", "peft", "lycoris-lora", "bitsandbytes", "optimum-quanto")
HOME = Path(tuner.__file__).resolve().parents[1]


def text(view: RunView, reading: Reading, log: str) -> str:
    """`log` is as much of the run's log as is to be told."""
    told = "\n".join([*_program(), _computer(reading), *_run(view), "", log])
    for folder, name in ((HOME, "FluxTuner"), (Path(sys.prefix), "env"), (Path(sys.base_prefix), "python")):
        told = told.replace(str(folder), name)
    return without_private(told)


def _program() -> list[str]:
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return [
        f"FluxTuner {tuner.__version__}, Python {platform.python_version()}, {platform.system()} "
        f"{platform.release()}",
        versions,
    ]


def _computer(reading: Reading) -> str:
    parts = [f"{reading.ram_used_gb:.1f} of {reading.ram_total_gb:.1f} GB RAM in use"]
    if reading.vram_total_gb is not None and reading.vram_used_gb is not None:
        parts.append(f"{reading.gpu_name}, driver {reading.gpu_driver}")
        parts.append(f"{reading.vram_used_gb:.1f} of {reading.vram_total_gb:.1f} GB VRAM in use")
    parts += [f"page file {reading.page_file_gb:.1f} GB", f"{reading.disk_free_gb:.0f} GB of disk free"]
    return "; ".join(parts)


def _run(view: RunView) -> list[str]:
    if view.state == "idle":
        return [wording.STATES["idle"]]
    lines = [
        f"{wording.STATES[view.state]} in phase '{view.phase}', step {view.step} of {view.num_steps}, "
        f"{wording.number(view.seconds_per_step)} s a step, peak {view.peak_vram_gb:.1f} GB VRAM"
    ]
    lines += [f"Warning: {one.text}" for one in view.warnings[-5:]]
    return [*lines, f"Failure: {view.failure.message}"] if view.failure else lines

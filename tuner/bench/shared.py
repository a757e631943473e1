"""What every benchmark tells beside its figures, and how it has something measured by another process."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import psutil

from tuner import machine
from tuner.errors import TunerError

LIBRARIES = ("torch", "gradio", "diffusers", "transformers", "peft", "optimum-quanto", "bitsandbytes")


@dataclass(frozen=True)
class Asked:
    """What the command line asks of a benchmark. `card`: so many GB of the card may be used; `toy`: models so
    small that a processor measures in seconds that everything works; `random_weights`: FLUX.1 in full size.
    """

    rounds: int = 3
    card: float | None = None
    toy: bool = False
    random_weights: bool = False
    preset: str = "48gb-bf16"


def about(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The head of a benchmark's record."""
    reading = machine.read()
    return {
        "benchmark": name,
        "machine": {
            "processor": platform.machine(),
            "num_cores": os.cpu_count(),
            "load": round(psutil.getloadavg()[0], 1),
            "ram_gb": round(reading.ram_total_gb, 1),
            "gpu": reading.gpu_name,
            "vram_gb": reading.vram_total_gb,
        },
        "versions": {one: version(one) for one in LIBRARIES},
        "settings": dict(settings),
    }


def figures(module: str, spec: Any, environment: Mapping[str, str] | None = None) -> Any:
    """What `python -m module SPEC` measured: the last line that it wrote, as JSON."""
    command = [sys.executable, "-m", module, json.dumps(spec)]
    given = {**os.environ, **(environment or {})}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=given)
    if done.returncode:
        raise TunerError(f"One side of the benchmark ended with: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])

"""The run of `bench step` and `bench memory`: `python -m tuner.bench.run_once SPEC`."""

from __future__ import annotations

import json
import logging
import statistics
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tuner import files, machine
from tuner.dataset import scan
from tuner.events import Event, PhaseStarted, SampleReady, StepDone
from tuner.flux.weights import Change
from tuner.plan import make, peaks
from tuner.plan.levers import ALL_THERE, Levers
from tuner.plan.phases import Plan
from tuner.quantization.frozen import FrozenLinear
from tuner.settings.run import RunSettings
from tuner.training import kept, models, run
from tuner.training.control import Control
from tuner.training.hardware import Hardware, find_hardware
from tuner.training.host import peak, reset_peak

WARM_STEPS = 3


class Measured:
    """Hears the events of a run, and notes the peaks of each phase, those of previews apart."""

    def __init__(self, plan: Plan, hardware: Hardware) -> None:
        self._hardware = hardware
        self._forecast = {phase.name: phase for phase in plan.phases}
        self._phase = ""
        self.seconds: list[float] = []
        self.figures: dict[str, Any] = {}

    def hear(self, event: Event) -> None:
        if isinstance(event, PhaseStarted):
            self.end_phase()
            self._phase = event.name
            self._begin_anew()
        if isinstance(event, SampleReady):
            self._note("with_previews_")
            self._begin_anew()
        if isinstance(event, StepDone):
            self.seconds.append(event.seconds)
            self._note("")

    def end_phase(self) -> None:
        if self._phase and self._phase != "train":
            self._note("")

    def _note(self, what: str) -> None:
        now = {"host": round(peak() / machine.GB, 3), "vram": round(self._hardware.peak_vram_gb(), 3)}
        need = self._forecast[self._phase]
        for memory, forecast in (("host", need.ram_gb), ("vram", need.vram_gb)):
            name = f"{self._phase}_{what}peak_{memory}_gb"
            self.figures[name] = max(now[memory], self.figures.get(name, 0.0))
            self.figures[f"{self._phase}_forecast_{memory}_gb"] = round(forecast, 3)

    def _begin_anew(self) -> None:
        reset_peak()
        self._hardware.reset_peak_vram()


def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """Peaks of every phase, beside the forecast, and the median seconds of a step."""
    kept.LEAST_BYTES = sys.maxsize
    peaks.FILE = Path(spec["config"]) / "peaks.json"  # the forecast is to be judged, so it learns nothing
    settings = files.load_all(Path(spec["config"])).settings
    (dataset, *_) = settings.datasets
    settings = replace(settings, datasets=(replace(dataset, instance_data_dir=spec["pictures"]),))
    reading = machine.read()
    if spec["card_gb"] is not None:
        if torch.cuda.is_available():
            _cap(spec["card_gb"])
        reading = replace(reading, vram_total_gb=spec["card_gb"], vram_used_gb=0.0)
    if spec["random_weights"]:
        _fill_with_noise_after_loading()
    plan = make.make(settings, scan.scan(settings), reading)
    measured = Measured(plan, find_hardware(settings, lambda event: None))
    run.run(plan, measured.hear, Control())
    measured.end_phase()
    counted = measured.seconds[WARM_STEPS:]
    return {"step_seconds": round(statistics.median(counted), 4), **measured.figures}


def _cap(gigabytes: float) -> None:
    """A large card acts a smaller one."""
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, gigabytes * machine.GB / total))


def _fill_with_noise_after_loading() -> None:
    """The files hold nothing but zeros, with which a card computes more quickly than with other numbers."""
    load = models.load_transformer

    def noisy(
        settings: RunSettings, hardware: Hardware, levers: Levers = ALL_THERE, change: Change | None = None
    ) -> Any:
        transformer = load(settings, hardware, levers, change)
        for module in transformer.modules():
            if isinstance(module, FrozenLinear):
                tensors = module.stored()
                tensors["codes"].random_(0, 120)  # as 8-bit floats these are all numbers
                tensors.get("scale", tensors["codes"].new_empty(0).float()).fill_(2e-4)
                tensors.get("offset", tensors["codes"].new_empty(0).float()).fill_(0.05)
            elif isinstance(module, nn.Linear) and not module.weight.is_meta:
                module.weight.data.normal_(std=0.02)
        return transformer

    models.load_transformer = noisy


if __name__ == "__main__":
    logging.disable()
    sys.stdout.write(json.dumps(measure(json.loads(sys.argv[1]))) + "\n")

"""The peaks of a run's phases, one after the other: told, and remembered for the forecasts of later runs."""

from __future__ import annotations

from dataclasses import dataclass

from tuner import machine
from tuner.events import Emit, PhaseMeasured, PhaseStarted
from tuner.plan import memory, peaks
from tuner.plan.phases import Plan
from tuner.training import host
from tuner.training.hardware import Hardware


@dataclass(frozen=True)
class Meter:
    """Of the phases of one plan on one device."""

    plan: Plan
    hardware: Hardware
    emit: Emit

    def begin(self, phase: str, total: int = 0) -> None:
        """The phase starts, and its peaks with it."""
        self.emit(PhaseStarted(name=phase, total=total))
        self.hardware.reset_peak_vram()
        host.reset_peak()

    def end(self, phase: str) -> None:
        """It is over, and was long enough to tell what it takes."""
        vram_gb, ram_gb = self.hardware.peak_vram_gb(), host.peak() / machine.GB
        self.emit(PhaseMeasured(name=phase, peak_vram_gb=vram_gb, peak_ram_gb=ram_gb))
        self._remember(phase, vram_gb, ram_gb if host.forgets() else None)

    def ran_out(self, phase: str) -> None:
        """It takes more of the card than there was for it: as much counts as its peak."""
        self._remember(phase, self.hardware.most_vram_gb(), None)

    def _remember(self, phase: str, vram_gb: float, ram_gb: float | None) -> None:
        """Nothing where the plan was made for another device than the run took place on."""
        plan, here = self.plan, machine.read()
        on_card = self.hardware.device.type == "cuda"
        if on_card != (here.vram_total_gb is not None):
            return
        (estimate,) = (
            one
            for one in memory.estimates(plan.settings, plan.index, here, plan.levers)
            if one.phase == phase
        )
        peaks.remember(estimate, vram_gb if on_card else None, ram_gb)

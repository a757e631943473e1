"""Each phase of a run tells what it took, and later forecasts know it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.training.conftest import plan_of
from tuner import machine
from tuner.events import Event, PhaseMeasured, PhaseStarted, StepDone
from tuner.plan import peaks
from tuner.settings.run import RunSettings
from tuner.training import host, meter
from tuner.training.control import Control
from tuner.training.hardware import Hardware
from tuner.training.meter import Meter
from tuner.training.run import run

CPU = Hardware(torch.device("cpu"), torch.float32)


class Card(Hardware):
    """Stands for one on which 9 GB were taken, of 11 that could be."""

    def reset_peak_vram(self) -> None:
        pass

    def peak_vram_gb(self) -> float:
        return 9.0

    def most_vram_gb(self) -> float:
        return 11.0


CARD = Card(torch.device("cuda"), torch.bfloat16)


def test_every_phase_of_a_run_tells_its_peak_and_the_next_plan_knows_it(settings: RunSettings) -> None:
    said: list[Event] = []
    run(plan_of(settings), said.append, Control())
    told = [one for one in said if isinstance(one, PhaseMeasured)]
    assert [one.name for one in told] == [one.name for one in said if isinstance(one, PhaseStarted)]
    assert all(one.peak_vram_gb == 0 and one.peak_ram_gb > 0.1 for one in told)
    if host.forgets():
        for phase, measured in zip(plan_of(settings, max_train_steps=9).phases, told, strict=True):
            assert phase.whence.startswith("measured here on 20")
            assert phase.ram_gb == pytest.approx(measured.peak_ram_gb, abs=0.001)


def test_the_estimate_of_a_run_on_the_processor_is_near(settings: RunSettings) -> None:
    """Beside the libraries that the tests have loaded, which a run has not."""
    told: list[Event] = []
    before = host.reset_peak() / machine.GB
    plan = plan_of(settings)
    run(plan, told.append, Control())
    train = next(one for one in told if isinstance(one, PhaseMeasured) and one.name == "train")
    estimate = next(one for one in plan.phases if one.name == "train").ram_gb
    assert train.peak_ram_gb - before < estimate


@pytest.mark.parametrize(("steps", "phases"), [(1, 3), (5, 4)])
def test_a_stopped_run_tells_of_its_training_once_it_saw_every_picture(
    settings: RunSettings, steps: int, phases: int
) -> None:
    """An epoch of the ten pictures has three steps of two batches of two."""
    control, said = Control(), []

    def listen(event: Event) -> None:
        said.append(event)
        if isinstance(event, StepDone) and event.step == steps:
            control.stop.set()

    run(plan_of(settings), listen, control)
    assert len([one for one in said if isinstance(one, PhaseMeasured)]) == phases


def test_a_card_that_ran_out_is_known_to_be_too_small(
    settings: RunSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(settings)
    here = replace(machine.read(), vram_total_gb=12.0, vram_used_gb=0.0, gpu_name="card")
    monkeypatch.setattr(meter.machine, "read", lambda: here)
    Meter(plan, CARD, lambda event: None).ran_out("train")
    (one,) = peaks.known()
    assert (one.memory, one.phase, one.peak_gb, one.kind[0]) == ("vram", "train", 11.0, "card")
    Meter(plan, CARD, lambda event: None).end("train")
    assert next(one for one in plan_of(settings).phases if one.name == "train").vram_gb == 11.0


def test_what_ran_elsewhere_than_it_was_planned_for_is_not_learned(
    settings: RunSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(settings)
    here = replace(machine.read(), vram_total_gb=None)
    monkeypatch.setattr(meter.machine, "read", lambda: here)
    Meter(plan, CARD, lambda event: None).end("train")
    assert peaks.known() == ()

"""When previews and checkpoints are due, as lists of steps of a run of 24 steps with an epoch every 5."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tuner.dataset.index import DatasetIndex
from tuner.files.run_folder import RunFolder
from tuner.plan.phases import Plan
from tuner.settings.run import RunSettings
from tuner.settings.sampling import Sampling
from tuner.settings.saving import Saving
from tuner.training.due import (
    checkpoint_due,
    evaluation_due,
    preview_due,
    preview_due_at_start,
    rolling_due,
)


def _plan(sampling: Sampling | None = None, saving: Saving | None = None) -> Plan:
    settings = RunSettings(
        sampling=sampling or Sampling(validation_step_interval=0),
        saving=saving or Saving(checkpoint_step_interval=0),
    )
    return Plan(settings, RunFolder(Path("run")), DatasetIndex(()), (), 24, (5, 10, 15, 20, 25))


def _steps(due: Callable[[Plan, int], bool], plan: Plan) -> list[int]:
    return [step for step in range(1, 25) if due(plan, step)]


@pytest.mark.parametrize(
    ("values", "steps"),
    [
        ({}, []),
        ({"validation_step_interval": 10}, [10, 20]),
        ({"validation_epoch_interval": 2}, [10, 20]),
        ({"validation_step_interval": 8, "validation_epoch_interval": 3}, [8, 15, 16]),
        ({"validation_step_interval": 8, "validate_after_step": 9}, [16]),
        ({"validation_step_interval": 8, "validate_after_step": 16}, [16]),
        ({"validation_epoch_interval": 1, "validate_after_epoch": 3}, [15, 20]),
        ({"validation_step_interval": 4, "validate_after_epoch": 2, "validate_after_step": 13}, [16, 20]),
    ],
)
def test_previews(values: dict[str, int], steps: list[int]) -> None:
    """The last step always shows what came out."""
    sampling = Sampling(**{"validation_step_interval": 0, **values})
    assert _steps(preview_due, _plan(sampling)) == [*steps, 24]


@pytest.mark.parametrize(
    ("values", "steps"),
    [
        ({}, []),
        ({"checkpoint_step_interval": 10}, [10, 20]),
        ({"checkpoint_epoch_interval": 2}, [10, 20]),
        ({"checkpoint_step_interval": 7, "checkpoint_epoch_interval": 4}, [7, 14, 20, 21]),
    ],
)
def test_checkpoints(values: dict[str, int], steps: list[int]) -> None:
    """The last step is always kept."""
    saving = Saving(**{"checkpoint_step_interval": 0, **values})
    assert _steps(checkpoint_due, _plan(saving=saving)) == [*steps, 24]


def test_rolling_checkpoints() -> None:
    assert _steps(rolling_due, _plan(saving=Saving(checkpointing_rolling_steps=9))) == [9, 18]
    assert _steps(rolling_due, _plan()) == []


@pytest.mark.parametrize(
    ("first_step", "values", "due"),
    [
        (0, {}, True),
        (0, {"disable_benchmark": True}, False),
        (0, {"disable_benchmark": True, "validation_on_startup": True}, True),
        (7, {}, False),
        (7, {"validation_on_startup": True}, True),
    ],
)
def test_before_the_first_step(first_step: int, values: dict[str, bool], due: bool) -> None:
    plan = replace(_plan(Sampling(**values)), first_step=first_step)
    assert preview_due_at_start(plan) is due


def test_the_loss_of_pictures_that_are_kept_apart() -> None:
    plan = _plan(Sampling(eval_steps_interval=9))
    assert [step for step in range(25) if evaluation_due(plan, step)] == [0, 9, 18, 24]
    assert not any(evaluation_due(_plan(), step) for step in range(25))

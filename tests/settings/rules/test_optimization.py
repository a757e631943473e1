"""Optimizers that are not built say why, and what to take instead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tuner.optimizers.refused import REFUSED, Refusal
from tuner.settings.checks import problems
from tuner.settings.dataset import ImageDataset
from tuner.settings.run import RunSettings, specs
from tuner.settings.values import parse

GOOD = RunSettings(datasets=(ImageDataset(id="pictures", instance_data_dir="datasets/a"),))
SPEC = next(spec for spec in specs() if spec.name == "optimizer")


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: refused.name)
def test_a_refused_optimizer(refused: Refusal) -> None:
    settings = replace(GOOD, optimization=replace(GOOD.optimization, optimizer=refused.name))
    (problem,) = problems(settings)
    assert f"because {refused.why}; choose {refused.instead}." in problem.message
    assert problem.change == {"optimization.optimizer": refused.instead}


def test_names_of_old_are_understood() -> None:
    assert parse(SPEC, "adafactor") == "torch-adafactor"
    assert parse(SPEC, "adamw8bit") == "bnb-adamw8bit"


@pytest.mark.parametrize(("seed", "fine"), [(-1, True), (0, True), (-2, False)])
def test_a_seed_may_be_drawn(seed: int, fine: bool) -> None:
    settings = replace(GOOD, optimization=replace(GOOD.optimization, seed=seed))
    assert (problems(settings) == ()) is fine


@pytest.mark.parametrize(("name", "falls"), [("polynomial", True), ("cosine", True), ("constant", False)])
def test_a_schedule_that_falls_does_not_rise(name: str, falls: bool) -> None:
    values = {"lr_scheduler": name, "learning_rate": 1e-8}
    settings = replace(GOOD, optimization=replace(GOOD.optimization, **values))
    assert [one.change for one in problems(settings)] == [{"optimization.lr_end": 0.0}] * falls

"""Noise levels that contradict one another, and lists that hold no noise levels."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from tuner.errors import Problem
from tuner.settings.checks import problems
from tuner.settings.dataset import ImageDataset
from tuner.settings.run import RunSettings

GOOD = RunSettings(datasets=(ImageDataset(id="pictures", instance_data_dir="datasets/a"),))
WAYS: dict[str, Any] = {
    "flow_custom_timesteps": (0.5,),
    "flow_cubic_schedule_weights": (1.0, 2.0),
    "flow_use_uniform_schedule": True,
    "flow_use_beta_schedule": True,
}


def found(**values: Any) -> tuple[Problem, ...]:
    return problems(replace(GOOD, objective=replace(GOOD.objective, **values)))


@pytest.mark.parametrize("pair", list(combinations(WAYS, 2)))
def test_two_ways_to_choose_noise_levels(pair: tuple[str, str]) -> None:
    (problem,) = found(**{name: WAYS[name] for name in pair})
    assert problem.key == pair[1]
    assert problem.message == f"'{pair[0]}' and '{pair[1]}' both choose the noise levels; keep one."
    assert list(problem.change) == [f"objective.{pair[1]}"]


def test_following_the_advice_leaves_the_first_way() -> None:
    settings = replace(GOOD.objective, **WAYS)
    changes = {path.split(".")[1]: value for one in found(**WAYS) for path, value in one.change.items()}
    assert len(changes) == 3
    assert problems(replace(GOOD, objective=replace(settings, **changes))) == ()


@pytest.mark.parametrize("name", WAYS)
def test_schnells_schedule_gives_way_to_any_other(name: str) -> None:
    assert found(**{name: WAYS[name], "flux_fast_schedule": True}) == ()


@pytest.mark.parametrize("levels", [(), (0.5, "a"), (-1,), (1001,), (True,)])
def test_own_levels_are_numbers(levels: tuple[Any, ...]) -> None:
    (problem,) = found(flow_custom_timesteps=levels)
    assert "from 0 to 1, or from 0 to 1000" in problem.message


@pytest.mark.parametrize("heights", [(0, 0), (1, -1), (1, None)])
def test_a_curve_is_made_of_heights(heights: tuple[Any, ...]) -> None:
    (problem,) = found(flow_cubic_schedule_weights=heights)
    assert "0 or more, not all of them 0" in problem.message
    assert found(flow_cubic_schedule_weights=()) == () == found(flow_cubic_schedule_weights=(0,))


def test_a_range_of_guidance_has_its_ends_in_order() -> None:
    wrong = {"flux_guidance_min": 5.0, "flux_guidance_max": 2.0}
    assert found(**wrong) == ()
    (problem,) = found(**wrong, flux_guidance_mode="random-range")
    assert problem.change == {"objective.flux_guidance_min": 2.0, "objective.flux_guidance_max": 5.0}

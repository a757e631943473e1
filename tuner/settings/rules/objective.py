"""What does not go together in noise levels, guidance and loss."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from tuner.errors import Problem
from tuner.flux import routes
from tuner.settings.rules import Rule, problem
from tuner.settings.run import RunSettings

_OFF: dict[str, object] = {
    "flow_custom_timesteps": None,
    "flow_cubic_schedule_weights": None,
    "flow_use_uniform_schedule": False,
    "flow_use_beta_schedule": False,
}
"""The ways to choose noise levels, in the order in which SimpleTuner looks at them, and what turns each off.
The fast schedule is not among them: schnell needs it, and any of these goes before it.
"""


def _schedules(settings: RunSettings) -> Iterator[Problem]:
    """Only one of them can be followed; the others are not left standing without effect."""
    asked = {name: getattr(settings.objective, name) for name in _OFF}
    first, *others = [name for name, value in asked.items() if value != _OFF[name]] or [""]
    for name in others:
        yield problem(
            f"objective.{name}",
            asked[name],
            f"'{first}' and '{name}' both choose the noise levels; keep one.",
            {f"objective.{name}": _OFF[name]},
        )


def _levels(settings: RunSettings) -> Iterator[Problem]:
    """Lists of numbers that noise levels can be drawn from."""
    asked = settings.objective
    levels, heights = asked.flow_custom_timesteps, asked.flow_cubic_schedule_weights
    if levels is not None and not (levels and _numbers(levels, 1000)):
        yield problem(
            "objective.flow_custom_timesteps",
            levels,
            "'flow_custom_timesteps' must be a list of numbers from 0 to 1, or from 0 to 1000.",
            {"objective.flow_custom_timesteps": None},
        )
    if heights is not None and not (_numbers(heights, math.inf) and (len(heights) < 2 or any(heights))):
        yield problem(
            "objective.flow_cubic_schedule_weights",
            heights,
            "'flow_cubic_schedule_weights' must be a list of numbers of 0 or more, not all of them 0.",
            {"objective.flow_cubic_schedule_weights": None},
        )


def _numbers(values: Sequence[Any], most: float) -> bool:
    return all(
        isinstance(one, int | float) and not isinstance(one, bool) and 0 <= one <= most for one in values
    )


def _guidance(settings: RunSettings) -> Iterator[Problem]:
    asked = settings.objective
    low, high = asked.flux_guidance_min, asked.flux_guidance_max
    if asked.flux_guidance_mode == "random-range" and low > high:
        yield problem(
            "objective.flux_guidance_min",
            low,
            f"'flux_guidance_min' is {low:g} and 'flux_guidance_max' is {high:g}; turn them round.",
            {"objective.flux_guidance_min": high, "objective.flux_guidance_max": low},
        )


def _routes(settings: RunSettings) -> Iterator[Problem]:
    """What can be said without the model; the plan knows how many blocks there are."""
    config = settings.objective.tread_config
    if config is None:
        return
    try:
        routes.read(config)
    except routes.RoutesInvalid as wrong:
        change = {"objective.tread_config": wrong.mended} if wrong.mended else None
        yield problem("objective.tread_config", config, str(wrong), change)


RULES: tuple[Rule, ...] = (_schedules, _levels, _guidance, _routes)

"""What does not go together in noise levels, guidance and loss."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.errors import Problem
from tuner.settings.rules import Rule, problem
from tuner.settings.run import RunSettings


def _schedules(settings: RunSettings) -> Iterator[Problem]:
    asked = settings.objective
    if asked.flow_use_uniform_schedule and asked.flow_use_beta_schedule:
        yield problem(
            "objective.flow_use_beta_schedule",
            True,
            "'flow_use_uniform_schedule' and 'flow_use_beta_schedule' are both true; choose one.",
            {"objective.flow_use_beta_schedule": False},
        )


RULES: tuple[Rule, ...] = (_schedules,)

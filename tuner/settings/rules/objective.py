"""What does not go together in noise levels, guidance and loss."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.errors import Problem
from tuner.flux import routes
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


RULES: tuple[Rule, ...] = (_schedules, _routes)

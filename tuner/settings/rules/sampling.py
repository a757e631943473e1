"""What does not go together in previews."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.errors import Problem
from tuner.settings.rules import Rule, problem
from tuner.settings.run import RunSettings
from tuner.settings.sampling import preview_sizes


def _sizes(settings: RunSettings) -> Iterator[Problem]:
    try:
        preview_sizes(settings.sampling.validation_resolution)
    except ValueError as error:
        yield problem(
            "sampling.validation_resolution",
            settings.sampling.validation_resolution,
            str(error),
            {"sampling.validation_resolution": "1024x1024"},
        )


def _evaluation(settings: RunSettings) -> Iterator[Problem]:
    asked = settings.sampling.eval_steps_interval
    if asked and not settings.evaluation_datasets:
        yield problem(
            "sampling.eval_steps_interval",
            asked,
            "'eval_steps_interval' measures the loss on pictures that are kept apart, and no dataset has the "
            "'dataset_type' eval.",
            {"sampling.eval_steps_interval": None},
        )


RULES: tuple[Rule, ...] = (_sizes, _evaluation)

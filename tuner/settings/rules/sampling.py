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
        yield problem("sampling.validation_resolution", settings.sampling.validation_resolution, str(error))


RULES: tuple[Rule, ...] = (_sizes,)

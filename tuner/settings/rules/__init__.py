"""Rules between settings, a file for each section; a new rule is a function in its section's RULES."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tuner.errors import Problem
from tuner.settings.run import RunSettings

Rule = Callable[[RunSettings], Iterator[Problem]]
"""Looks at the settings as a whole and says what is wrong, each problem with the change that mends it."""


def problem(path: str, value: Any, message: str, change: Mapping[str, Any] | None = None) -> Problem:
    """`change` maps dotted setting paths to the values with which it would run."""
    return Problem(path, path.rpartition(".")[2], value, message, change or {})

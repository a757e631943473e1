"""What does not go together in the adapter, or between it and the base model."""

from __future__ import annotations

from tuner.settings.rules import Rule

RULES: tuple[Rule, ...] = ()

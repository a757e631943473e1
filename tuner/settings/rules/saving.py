"""What does not go together in checkpoints, resuming and export."""

from __future__ import annotations

from tuner.settings.rules import Rule

RULES: tuple[Rule, ...] = ()

"""What does not go together in precisions and in what spares memory."""

from __future__ import annotations

from tuner.settings.rules import Rule

RULES: tuple[Rule, ...] = ()

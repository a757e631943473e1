"""A running mean of the adapter over the steps: calmer than the adapter, which jumps with every batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class EmaRules:
    """`device` is where the mean lies and is computed; `foreach` updates all tensors in one call."""

    decay: float
    device: torch.device
    update_interval: int = 1
    warmup_steps: int = 0
    foreach: bool = True


class Ema:
    """The mean of `parameters`, float32: in bf16, as SimpleTuner keeps it, 0.5 % of the way to the new
    values is mostly below the last digit, so that it would stand still.
    """

    def __init__(self, parameters: list[nn.Parameter], rules: EmaRules) -> None:
        self._parameters, self._rules = parameters, rules
        self.restart()

    def restart(self) -> None:
        """The mean becomes what the parameters are now."""
        place = self._rules.device
        self._shadow = [p.detach().to(place, torch.float32, copy=True) for p in self._parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Moves the mean towards the parameters as they are after `step`, where an update is due."""
        if step % self._rules.update_interval:
            return
        weight = 1 - decay_at(step, self._rules)
        current = [
            p.detach().to(s.device, torch.float32)
            for p, s in zip(self._parameters, self._shadow, strict=True)
        ]
        if self._rules.foreach:
            torch._foreach_lerp_(self._shadow, current, weight)
            return
        for shadow, value in zip(self._shadow, current, strict=True):
            shadow.lerp_(value, weight)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the parameters hold the mean; afterwards, bit for bit what they held before."""
        kept = [parameter.detach().clone() for parameter in self._parameters]
        self._fill(self._shadow)
        try:
            yield
        finally:
            self._fill(kept)

    @torch.no_grad()
    def _fill(self, values: list[torch.Tensor]) -> None:
        for parameter, value in zip(self._parameters, values, strict=True):
            parameter.copy_(value)


def decay_at(step: int, rules: EmaRules) -> float:
    """The share of the old mean that is left by the update after `step` (steps count from 1).

    Without a warm-up it grows from 0 by (1 + n) / (10 + n), n = step - 1, up to `decay`; with one it is 0
    up to its last step and `decay` from then on. As SimpleTuner's.
    """
    if step <= max(1, rules.warmup_steps):
        return 0.0
    if rules.warmup_steps:
        return rules.decay
    return min(step / (9 + step), rules.decay)

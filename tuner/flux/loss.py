"""How far the predicted velocity is from its target. Pure functions on tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """`kind` is a key of KINDS; `schedule`, a key of THRESHOLDS, says how the threshold of huber and
    smooth_l1 follows the noise, from its setting `c`.
    """

    kind: str = "l2"
    schedule: str = "snr"
    c: float = 0.1


def flow_matching_loss(
    velocity: Tensor, target: Tensor, sigmas: Tensor, loss: Loss, mask: Tensor | None = None
) -> Tensor:
    """The mean in float32 over C, H, W of each item, then over the batch; `sigmas` (B,).

    A `mask` (B, 1, H, W) weighs the places; the mean is still over all of them.
    """
    difference = velocity.float() - target.float()
    thresholds = THRESHOLDS[loss.schedule](sigmas, loss.c).view(-1, 1, 1, 1)
    errors = KINDS[loss.kind](difference, thresholds)
    return (errors if mask is None else errors * mask).mean((1, 2, 3)).mean()


def _l2(difference: Tensor, c: Tensor) -> Tensor:
    return difference.square()


def _huber(difference: Tensor, c: Tensor) -> Tensor:
    """Square below the threshold `c`, straight above."""
    return 2 * c * (torch.sqrt(difference.square() + c**2) - c)


def _smooth_l1(difference: Tensor, c: Tensor) -> Tensor:
    """Straight with the same slope for every `c`, rounded below it."""
    return 2 * (torch.sqrt(difference.square() + c**2) - c)


def _constant(sigmas: Tensor, c: float) -> Tensor:
    return torch.full_like(sigmas, c)


def _exponential(sigmas: Tensor, c: float) -> Tensor:
    """From 1 for a clean picture down to `c` for pure noise."""
    return torch.exp(math.log(c) * sigmas)


def _snr(sigmas: Tensor, c: float) -> Tensor:
    """From `c` for a clean picture up to 1 for pure noise."""
    ratio = torch.sqrt((1 - sigmas) / (sigmas + 1e-4))
    return (1 - c) / (1 + ratio) ** 2 + c


KINDS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l2": _l2,
    "huber": _huber,
    "smooth_l1": _smooth_l1,
}
THRESHOLDS: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    "constant": _constant,
    "exponential": _exponential,
    "snr": _snr,
}

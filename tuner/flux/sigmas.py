"""Which noise levels are trained on, and how they are shifted. Pure functions on tensors.

A sigma of 0 is the clean picture, 1 is noise alone. Source: "Scaling Rectified Flow Transformers" (Esser et
al., 2024), and black-forest-labs/flux for the shift by size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import torch
from torch import Tensor

FAST = (1.0,) * 7 + (0.75, 0.5, 0.25)
"""What schnell is trained on: mostly pure noise, and the few levels that its four steps pass through."""


@dataclass(frozen=True)
class AutoShift:
    """A shift of e^mu, with mu linear in the number of image tokens and without limits.

    Names and defaults are those of diffusers' scheduler settings.
    """

    base_shift: float = 0.5
    max_shift: float = 1.15
    base_image_seq_len: int = 256
    max_image_seq_len: int = 4096

    @classmethod
    def of(cls, scheduler: Mapping[str, Any]) -> AutoShift:
        """As the settings of a model's scheduler say."""
        return cls(**{one.name: scheduler[one.name] for one in fields(cls) if one.name in scheduler})

    def at(self, num_tokens: int) -> float:
        slope = (self.max_shift - self.base_shift) / (self.max_image_seq_len - self.base_image_seq_len)
        return math.exp(self.base_shift + slope * (num_tokens - self.base_image_seq_len))


@dataclass(frozen=True)
class SigmaSchedule:
    """How sigmas are drawn; `kind` is a key of KINDS. A `shift` of 0 or 1 changes nothing.

    `scale`: sigmoid; `alpha`, `beta`: beta; `numbers`: the sigmas of list and round-robin, or the heights of
    curve, evenly spaced from sigma 0 to 1.
    """

    kind: str = "sigmoid"
    scale: float = 1.0
    alpha: float = 2.0
    beta: float = 2.0
    numbers: tuple[float, ...] = ()
    shift: float | AutoShift = 0.0


@dataclass(frozen=True)
class Draw:
    """What is drawn for: `count` items of `num_tokens` image tokens each, after `first` items of this run.

    `offset` moves the middle of the sigmoid: a dataset may ask for more noise (above 0) or less.
    """

    count: int
    num_tokens: int
    offset: float = 0.0
    first: int = 0


def draw_sigmas(schedule: SigmaSchedule, draw: Draw, dice: torch.Generator) -> Tensor:
    """Independent sigmas in 0..1, shape (count,), float32: each item of a batch has its own."""
    sigmas = KINDS[schedule.kind](schedule, draw, dice)
    shift = schedule.shift
    return shifted(sigmas, shift.at(draw.num_tokens) if isinstance(shift, AutoShift) else shift)


def shifted(sigmas: Tensor, shift: float) -> Tensor:
    """s * sigma / (1 + (s - 1) * sigma): more noise for a shift above 1; 0 and 1 change nothing."""
    return sigmas if shift <= 0 else shift * sigmas / (1 + (shift - 1) * sigmas)


def sigmas_of(numbers: tuple[float, ...]) -> tuple[float, ...]:
    """A user's list of noise levels: sigmas where none is above 1, else timesteps of 1000."""
    return numbers if max(numbers) <= 1 else tuple(number / 1000 for number in numbers)


def _sigmoid(schedule: SigmaSchedule, draw: Draw, dice: torch.Generator) -> Tensor:
    normal = torch.randn(draw.count, generator=dice, device=dice.device)
    return torch.sigmoid(schedule.scale * (normal + draw.offset))


def _uniform(schedule: SigmaSchedule, draw: Draw, dice: torch.Generator) -> Tensor:
    return torch.rand(draw.count, generator=dice, device=dice.device)


def _beta(schedule: SigmaSchedule, draw: Draw, dice: torch.Generator) -> Tensor:
    """X / (X + Y) of two gamma variables."""
    shape = torch.tensor([schedule.alpha, schedule.beta], device=dice.device).expand(draw.count, 2)
    gammas = torch._standard_gamma(shape, generator=dice)
    return gammas[:, 0] / gammas.sum(1)


def _curve(schedule: SigmaSchedule, draw: Draw, dice: torch.Generator) -> Tensor:
    """The inverse of the summed-up curve, at uniform heights."""
    uniform = torch.rand(draw.count, generator=dice, device=dice.device)
    if len(schedule.numbers) < 2:
        return uniform
    summed = _summed(schedule.numbers).to(dice.device)
    above = torch.searchsorted(summed, uniform, right=True).clamp(max=len(summed) - 1)
    low, high = summed[above - 1], summed[above]
    return (above - 1 + (uniform - low) / (high - low)) / (len(summed) - 1)


def _list(schedule: SigmaSchedule, draw: Draw, dice: torch.Generator) -> Tensor:
    picks = torch.randint(len(schedule.numbers), (draw.count,), generator=dice, device=dice.device)
    return torch.tensor(schedule.numbers, device=dice.device)[picks]


def _round_robin(schedule: SigmaSchedule, draw: Draw, dice: torch.Generator) -> Tensor:
    picks = (draw.first + torch.arange(draw.count, device=dice.device)) % len(schedule.numbers)
    return torch.tensor(schedule.numbers, device=dice.device)[picks]


KINDS: Mapping[str, Callable[[SigmaSchedule, Draw, torch.Generator], Tensor]] = {
    "sigmoid": _sigmoid,
    "uniform": _uniform,
    "beta": _beta,
    "curve": _curve,
    "list": _list,
    "round-robin": _round_robin,
}


@cache
def _summed(heights: tuple[float, ...], num_points: int = 4097) -> Tensor:
    """The curve's area up to each of evenly spaced sigmas, 0 to 1, float32."""
    curve = monotone_curve(heights, num_points)
    summed = torch.cat([torch.zeros(1), ((curve[1:] + curve[:-1]) / 2).cumsum(0)])
    return (summed / summed[-1]).float()


def monotone_curve(heights: tuple[float, ...], num_points: int) -> Tensor:
    """A smooth curve through two or more evenly spaced heights, read at `num_points` even places, float64.

    Piecewise cubic after Fritsch and Carlson (1980): between two heights it never leaves their range, so that
    heights of 0 or more give a density.
    """
    points = torch.tensor(heights, dtype=torch.float64)
    rises = points.diff()
    before, after = rises[:-1], rises[1:]
    inner = torch.where(before * after > 0, 2 * before * after / (before + after), 0.0)
    ends = [rises[0], rises[0]] if len(rises) == 1 else [_end(*rises[:2]), _end(*rises[-2:].flip(0))]
    slopes = torch.cat([ends[0].view(1), inner, ends[1].view(1)])
    places = torch.linspace(0, len(rises), num_points, dtype=torch.float64)
    left = places.floor().long().clamp(max=len(rises) - 1)
    t = places - left
    rise, start, end = rises[left], slopes[left], slopes[left + 1]
    curve = points[left] + t * start + t**2 * (3 * rise - 2 * start - end) + t**3 * (start + end - 2 * rise)
    return curve.clamp_min(0)


def _end(near: Tensor, far: Tensor) -> Tensor:
    """The slope at an end of the curve, from the last two rises; never against the last one."""
    slope = (3 * near - far) / 2
    if slope * near <= 0:
        return torch.zeros_like(slope)
    return 3 * near if near * far <= 0 and abs(slope) > 3 * abs(near) else slope

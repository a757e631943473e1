"""How the learning rate moves over a run: pure functions of the step.

A step is one optimizer update and counts from 1. During a warm-up of W steps, step k has base * k / W: the
first step is small but not 0, which would be a step for nothing, and step W has the full rate. From there
the schedule's curve runs to its last point at step `total`; below, the height 1 stands for `base` and 0 for
`end`. SimpleTuner's cosine, sine and restarts do something else than their names say, and are not copied.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """`power`: polynomial, `cycles`: sine and cosine_with_restarts; `total` includes the warm-up."""

    name: str
    base: float
    end: float = 0.0
    warmup: int = 0
    total: int = 0
    power: float = 0.8
    cycles: int = 1


@dataclass(frozen=True)
class ScheduleRow:
    """`height(progress, schedule)` in 0..1; progress too, from the end of the warm-up to the last step."""

    name: str
    advice: str
    height: Callable[[float, Schedule], float]

    @property
    def falls(self) -> bool:
        """Whether it goes from `base` towards `end` at all."""
        return self.height is not _flat


def _flat(progress: float, schedule: Schedule) -> float:
    return 1.0


def _linear(progress: float, schedule: Schedule) -> float:
    return 1.0 - progress


def _polynomial(progress: float, schedule: Schedule) -> float:
    return float((1.0 - progress) ** schedule.power)


def _cosine(progress: float, schedule: Schedule) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def _restarts(progress: float, schedule: Schedule) -> float:
    return _cosine(1.0 if progress == 1.0 else (progress * schedule.cycles) % 1.0, schedule)


def _waves(progress: float, schedule: Schedule) -> float:
    return _cosine(2.0 * schedule.cycles * progress, schedule)


SCHEDULES: tuple[ScheduleRow, ...] = (
    ScheduleRow("constant", "The same rate throughout.", _flat),
    ScheduleRow("constant_with_warmup", "A rise over the warm-up, then the same rate throughout.", _flat),
    ScheduleRow("linear", "A straight fall to the final rate at the last step.", _linear),
    ScheduleRow("cosine", "A soft fall to the final rate, along half a cosine wave.", _cosine),
    ScheduleRow("cosine_with_restarts", "Several cosine falls, each from the full rate again.", _restarts),
    ScheduleRow("polynomial", "A fall to the final rate whose shape is set by lr_power.", _polynomial),
    ScheduleRow("sine", "Smooth waves down to the final rate and back; it ends with the full rate.", _waves),
)

_BY_NAME = {row.name: row for row in SCHEDULES}


def names() -> tuple[str, ...]:
    return tuple(_BY_NAME)


def row(name: str) -> ScheduleRow:
    """Raises KeyError on a name that is not in `names()`."""
    return _BY_NAME[name]


def lr_at(schedule: Schedule, step: int) -> float:
    """The learning rate of one optimizer step (1-based). Steps beyond `total` keep the last rate.

    A warm-up above 0 holds for every schedule, `constant` included. KeyError on a name not in `names()`.
    """
    if step <= schedule.warmup:
        return schedule.base * step / schedule.warmup
    progress = min(1.0, (step - schedule.warmup) / max(1, schedule.total - schedule.warmup))
    height = row(schedule.name).height(progress, schedule)
    return schedule.end + (schedule.base - schedule.end) * height

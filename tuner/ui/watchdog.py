"""What holds a run up, in words: judged from its view and from the gauges of the last minutes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tuner import machine
from tuner.machine import Reading
from tuner.ui import wording
from tuner.view import RunView

EVERY_SECONDS, KEPT_SECONDS = 1.0, 600.0
STEADY_SECONDS, FEW = 20.0, 4
"""What is seen for so long, in so many readings, is no accident."""
SILENT_STEPS, SILENT_SECONDS, SILENT_AT_FIRST_SECONDS = 30, 120.0, 600.0
"""Silence counts from so many usual steps on, and so many seconds; longer until a step has been timed: a
model is loaded, kernels are compiled."""
FULL, SLOW, IDLE_PERCENT, BUSY_PERCENT, WEAK, FALLEN = 0.97, 1.4, 15.0, 90.0, 0.35, 0.7
SCARCE, PAGED_GB = 0.95, 1.0


class Moment(NamedTuple):
    """The gauges at `at`, seconds since 1970, and the phase that was going on; "" where none was."""

    at: float
    reading: Reading
    phase: str


@dataclass(frozen=True)
class Watched:
    """`moments` are the latest last, and never none."""

    view: RunView
    moments: tuple[Moment, ...]
    now: float

    @property
    def reading(self) -> Reading:
        return self.moments[-1].reading

    @property
    def steady(self) -> tuple[Reading, ...]:
        """The readings of the last `STEADY_SECONDS`, if steps were made in all of them; else none."""
        late = [one for one in self.moments if one.at >= self.now - STEADY_SECONDS - EVERY_SECONDS]
        whole = len(late) >= FEW and self.now - late[0].at >= 0.8 * STEADY_SECONDS
        return (
            tuple(one.reading for one in late) if whole and {one.phase for one in late} == {"train"} else ()
        )


@dataclass(frozen=True)
class Row:
    """`says` gives a sentence with its way out, or "" where all is well."""

    name: str
    says: Callable[[Watched], str]
    needs_card: bool = True


def sentences(view: RunView, moments: Iterable[Moment], now: float) -> tuple[str, ...]:
    """Everything that holds the run up now. Pure."""
    kept = tuple(moments)
    if view.state != "running" or not kept:
        return ()
    watched = Watched(view, kept, now)
    has_card = watched.reading.vram_total_gb is not None
    said = (row.says(watched) for row in ROWS if has_card or not row.needs_card)
    return tuple(sentence for sentence in said if sentence)


def silence(view: RunView, now: float) -> float | None:
    """Seconds since the last event of a run that goes on."""
    if view.state != "running" or view.updated_at is None:
        return None
    return max(now - view.updated_at, 0.0)


def _silent(watched: Watched) -> str:
    usual, quiet = watched.view.seconds_per_step, silence(watched.view, watched.now)
    limit = SILENT_AT_FIRST_SECONDS if usual is None else max(SILENT_STEPS * usual, SILENT_SECONDS)
    return wording.silent(quiet, usual) if quiet is not None and quiet > limit else ""


def _spilled(watched: Watched) -> str:
    """Windows gives a full card a part of the computer's memory, which is many times slower."""
    reading, pace, best = watched.reading, watched.view.pace, watched.view.best_pace
    if not reading.vram_total_gb or reading.vram_used_gb is None or pace is None or best is None:
        return ""
    if reading.vram_used_gb < FULL * reading.vram_total_gb or pace < SLOW * best:
        return ""
    return wording.spilled(pace, best, watched.view.peak_vram_gb - reading.vram_total_gb)


def _waits_for_memory(watched: Watched) -> str:
    """A card that counts as busy and stays cool moves data instead of computing."""
    seen = watched.steady
    busy = bool(seen) and all((one.gpu_load or 0) >= BUSY_PERCENT for one in seen)
    if not busy or not all(one.gpu_power and one.gpu_power_limit for one in seen):
        return ""
    power = median(one.gpu_power or 0 for one in seen)
    limit = seen[-1].gpu_power_limit or 0
    return wording.weak(power, limit) if power < WEAK * limit else ""


def _idle(watched: Watched) -> str:
    loads = [one.gpu_load for one in watched.steady]
    is_idle = bool(loads) and all(load is not None and load < IDLE_PERCENT for load in loads)
    return wording.IDLE_CARD if is_idle else ""


def _slowed(watched: Watched) -> str:
    causes = {one.gpu_slowed for one in watched.steady}
    reading = watched.reading
    return wording.slowed(reading.gpu_slowed, reading.gpu_temperature) if causes and "" not in causes else ""


def _clock_fell(watched: Watched) -> str:
    """Judged by the best that this run has seen under load."""
    seen = watched.steady
    if not seen or any(one.gpu_slowed or not one.gpu_clock for one in seen):
        return ""
    if median(one.gpu_load or 0 for one in seen) < BUSY_PERCENT:
        return ""
    best = max(one.reading.gpu_clock or 0 for one in watched.moments)
    clock = median(one.gpu_clock or 0 for one in seen)
    return wording.clock_fell(best, clock) if clock < FALLEN * best else ""


def _memory_runs_out(watched: Watched) -> str:
    reading = watched.reading
    paged = reading.page_file_used_gb - min(one.reading.page_file_used_gb for one in watched.moments)
    is_scarce = reading.ram_used_gb >= SCARCE * reading.ram_total_gb
    return wording.memory_runs_out(reading.process_gb, paged) if is_scarce or paged >= PAGED_GB else ""


ROWS = (
    Row("no sign of life", _silent, needs_card=False),
    Row("spilled into shared memory", _spilled),
    Row("busy without power", _waits_for_memory),
    Row("idle card", _idle),
    Row("held back", _slowed),
    Row("fallen clock", _clock_fell),
    Row("memory runs out", _memory_runs_out),
)


class Watchdog:
    """Keeps the gauges of the last minutes; however many browser tabs look, they are read once a second."""

    def __init__(self, folder: Path) -> None:
        """`folder` is where the free disk space is asked for."""
        self._folder = folder
        self._moments: deque[Moment] = deque()

    def look(self, view: RunView, now: float) -> Reading:
        """The gauges at `now`."""
        moments = self._moments
        if not moments or now - moments[-1].at >= EVERY_SECONDS:
            phase = view.phase if view.state == "running" else ""
            moments.append(Moment(now, machine.read(self._folder), phase))
        while moments[0].at < now - KEPT_SECONDS:
            moments.popleft()
        return moments[-1].reading

    def says(self, view: RunView, now: float) -> tuple[str, ...]:
        return sentences(view, tuple(self._moments), now)

"""What phases took on this computer, kept from run to run, so that the next forecast comes nearer."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

log = logging.getLogger(__name__)

FILE = Path(".tmp/peaks.json")
"""Beside the app's other caches."""
NUM_KEPT = 200
NUM_ALIKE = 3
"""Of the same phase the largest of so many runs counts: not each one draws a preview, or fills the card."""
LEAST_RATIO, MOST_RATIO = 0.5, 2.0
"""A run of other size corrects an estimate by no more than that."""
FORECAST = "forecast"
_SAME_GB = 0.001

Memory = Literal["vram", "ram"]


class Parts(NamedTuple):
    """GB that lie there throughout a phase and are known by their sizes, and GB that come and go with the
    work, which are estimated.
    """

    lasting_gb: float
    passing_gb: float


class Estimate(NamedTuple):
    """What one phase should take. Phases of one `kind` compute alike, in different amounts."""

    phase: str
    kind: tuple[str, ...]
    vram: Parts
    ram: Parts


class Need(NamedTuple):
    """The most that one phase takes at a time, in GB (2**30 bytes); `whence` says how that is known: of the
    card's memory, or of the computer's where there is no card.
    """

    vram_gb: float
    ram_gb: float
    whence: str = FORECAST


class Peak(NamedTuple):
    """What was measured of a phase, beside its estimate; `day` as 2026-08-14."""

    memory: Memory
    phase: str
    kind: tuple[str, ...]
    lasting_gb: float
    passing_gb: float
    peak_gb: float
    day: str


def corrected(estimate: Estimate) -> Need:
    """By what was measured here: of this very load the peak itself; of another load of the same kind how
    the passing part compared with its estimate.
    """
    vram_gb, of_card = _corrected("vram", estimate, estimate.vram)
    ram_gb, of_computer = _corrected("ram", estimate, estimate.ram)
    return Need(vram_gb, ram_gb, of_card if any(estimate.vram) else of_computer)


def _corrected(memory: Memory, estimate: Estimate, parts: Parts) -> tuple[float, str]:
    about = (memory, estimate.phase, estimate.kind)
    alike = [one for one in known() if one[:3] == about]
    same = [
        one
        for one in alike
        if math.isclose(one.lasting_gb, parts.lasting_gb, abs_tol=_SAME_GB)
        and math.isclose(one.passing_gb, parts.passing_gb, abs_tol=_SAME_GB)
    ]
    if same:
        most = max(same[-NUM_ALIKE:], key=lambda one: one.peak_gb)
        return most.peak_gb, f"measured here on {most.day}"
    if not alike:
        return sum(parts), FORECAST
    last = alike[-1]
    ratio = (last.peak_gb - last.lasting_gb) / last.passing_gb
    passing_gb = min(max(ratio, LEAST_RATIO), MOST_RATIO) * parts.passing_gb
    return parts.lasting_gb + passing_gb, f"forecast, corrected by a run here on {last.day}"


def remember(estimate: Estimate, vram_gb: float | None, ram_gb: float | None) -> None:
    """Keeps the peaks of a phase that took place; None is not known. Neither names nor paths are written."""
    day = date.today().isoformat()
    measured: Iterable[tuple[Memory, Parts, float | None]] = (
        ("vram", estimate.vram, vram_gb),
        ("ram", estimate.ram, ram_gb),
    )
    found = [
        Peak(memory, estimate.phase, estimate.kind, *parts, round(peak_gb, 3), day)
        for memory, parts, peak_gb in measured
        if peak_gb is not None
    ]
    _write([*known(), *found][-NUM_KEPT:])


def known() -> tuple[Peak, ...]:
    """The oldest first."""
    changed = stamp()
    return _read(FILE, changed) if changed else ()


def stamp() -> int:
    """Another number whenever something was learned; 0 where nothing is known."""
    try:
        return FILE.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


@lru_cache(maxsize=1)
def _read(file: Path, _: int) -> tuple[Peak, ...]:
    """Nothing where the file is damaged: then all is forecast, as on the first day."""
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        return tuple(_peak(**one) for one in entries)
    except (OSError, ValueError, TypeError) as error:
        log.warning("What earlier runs took cannot be read from '%s': %s", file, error)
        return ()


def _peak(kind: Iterable[Any], passing_gb: float, peak_gb: float, **rest: Any) -> Peak:
    """From JSON, which knows no tuples; raises ValueError for what no run can have taken."""
    if not (0 < passing_gb < math.inf and 0 <= peak_gb < math.inf):
        raise ValueError(f"{peak_gb} GB of {passing_gb} GB")
    return Peak(kind=tuple(kind), passing_gb=passing_gb, peak_gb=peak_gb, **rest)


def _write(peaks: Iterable[Peak]) -> None:
    """Beside, then renamed. A full disk ends no run: the next forecast is as good as this one was."""
    beside = FILE.with_suffix(f".{os.getpid()}.part")
    try:
        FILE.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps([one._asdict() for one in peaks], indent=0), encoding="utf-8")
        os.replace(beside, FILE)
    except OSError as error:
        beside.unlink(missing_ok=True)
        log.warning("What this run took cannot be kept in '%s': %s", FILE, error)

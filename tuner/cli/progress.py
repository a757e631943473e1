"""A run on the terminal: a bar for each phase, or plain lines where no terminal is; Ctrl-C stops the run."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tqdm import tqdm

from tuner.cli.output import tell
from tuner.session import Session
from tuner.view import PhaseView, RunView

T = TypeVar("T")

POLL_SECONDS = 0.2
LINE_STEPS = 25
"""A plain line comes after so many steps, or after a tenth of them all where that is less."""


class Display(Protocol):
    """What can follow a run (`show` its latest view, in the end `close`) and other long work (`each`)."""

    def show(self, view: RunView) -> None: ...

    def each(self, title: str, things: Iterable[T], total: int) -> Iterator[T]: ...

    def close(self) -> None: ...


def display() -> Display:
    return Bars() if sys.stderr.isatty() else Lines()


def follow(session: Session, config: Path, shown: Display) -> None:
    """Start a run and follow it to its end. A first Ctrl-C asks it to stop and waits, a second does not."""
    try:
        session.start(config)
        for note in session.plan.notes if session.plan else ():
            tell(f"Note: {note}")
        _watch(session, shown)
    except KeyboardInterrupt:
        if not session.running:
            raise
        session.stop()
        tell("Stopping: the step is finished and a checkpoint saved first. Ctrl-C once more ends at once.")
        _watch(session, shown)


def _watch(session: Session, shown: Display) -> None:
    while session.running:
        session.join(POLL_SECONDS)
        shown.show(session.view)
    shown.show(session.view)
    shown.close()


class Lines:
    """For log files and pipes: one line for each thing that happened."""

    def __init__(self) -> None:
        self._before = RunView()

    def show(self, view: RunView) -> None:
        for line in [
            *phase_lines(self._before, view, ("skipped", "running", "done")),
            *milestone(self._before, view),
            *news(self._before, view),
        ]:
            tell(line)
        self._before = view

    def each(self, title: str, things: Iterable[T], total: int) -> Iterator[T]:
        tell(f"{title} ({total})")
        yield from things

    def close(self) -> None:
        """Nothing stays open."""


class Bars:
    """For terminals: the running phase as a bar, what happened above it."""

    def __init__(self) -> None:
        self._before = RunView()
        self._bar: tqdm[Any] | None = None
        self._phase = ""

    def show(self, view: RunView) -> None:
        for line in [*phase_lines(self._before, view, ("skipped",)), *news(self._before, view)]:
            tqdm.write(line, file=sys.stderr)
        self._before = view
        phase = next((p for p in view.phases if p.name == view.phase), None)
        if phase is not None:
            self._move(phase, view)

    def each(self, title: str, things: Iterable[T], total: int) -> Iterator[T]:
        yield from tqdm(things, desc=title, total=total, file=sys.stderr)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _move(self, phase: PhaseView, view: RunView) -> None:
        if self._bar is None or self._phase != phase.name:
            self.close()
            first = view.first_step if phase.name == "train" else 0
            self._bar = tqdm(desc=phase.title, total=phase.total or None, initial=first, file=sys.stderr)
            self._phase = phase.name
        self._bar.n = phase.total if phase.state == "done" else phase.done
        if phase.name == "train" and view.smoothed_loss is not None:
            self._bar.set_postfix_str(f"loss {view.smoothed_loss:.3f}", refresh=False)
        self._bar.refresh()


def phase_lines(before: RunView, after: RunView, states: Collection[str]) -> list[str]:
    """The phases that came into one of `states` since; a phase that is done began."""
    known = {p.name for p in before.phases if p.state != "waiting"} if _same_run(before, after) else set()
    return [_phase_line(phase) for phase in after.phases if phase.state in states and phase.name not in known]


def _phase_line(phase: PhaseView) -> str:
    if phase.state == "skipped":
        return f"{phase.title}: skipped, {phase.why}."
    return f"{phase.title} ({phase.total})" if phase.total else phase.title


def news(before: RunView, after: RunView) -> list[str]:
    """What was made and said since."""
    if not _same_run(before, after):
        before = RunView()
    lines = [f"Note: {one.text}" for one in after.warnings[len(before.warnings) :]]
    made = [one for one in after.checkpoints if one.step > after.first_step]
    lines += [f"Saved {one.path}" for one in made if one not in before.checkpoints]
    lines += [f"Exported {one.path}" for one in after.exports if one not in before.exports]
    if after.state == "paused" != before.state:
        lines.append(f"Paused at step {after.step}.")
    return lines


def milestone(before: RunView, after: RunView) -> list[str]:
    """A line on the step where one is due, else nothing."""
    every = max(1, min(LINE_STEPS, after.num_steps // 10))
    first = before.step if _same_run(before, after) else after.first_step
    if after.step // every <= first // every or after.loss is None:
        return []
    pace = f", {after.seconds_per_step:.2f} s a step" if after.seconds_per_step is not None else ""
    left = f", {tqdm.format_interval(after.eta_seconds)} left" if after.eta_seconds else ""
    return [f"  step {after.step} of {after.num_steps}, loss {after.smoothed_loss:.3f}{pace}{left}"]


def _same_run(before: RunView, after: RunView) -> bool:
    return before.started_at == after.started_at

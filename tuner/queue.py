"""Runs that wait for their turn: one after the other, also after one that failed, also after a restart.

The page is its client; a thread of its own starts the next run as soon as none is going on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tuner.errors import Advice, ConfigFileBroken, DiskFull, GpuLost, RunGoingOn, TunerError, told
from tuner.files.documents import parse_json, read_text, to_json, write_text
from tuner.files.run_folder import RunFolder
from tuner.session import Session, read_run

NAME = "queue.json"
HOPELESS = (GpuLost, DiskFull)
"""Failures after which the next run would fail too."""
STARTING_SECONDS = 0.2


@dataclass(frozen=True)
class Entry:
    """A folder in `runs` by its name; `refused` says why the run could not even start."""

    run: str
    refused: str = ""


class Queue:
    """`entries` is replaced as a whole. A run leaves it when it has finished or failed; one that was stopped
    stays in front and the queue holds, as it does after a restart of the app, until `go_on`.
    """

    def __init__(self, session: Session, begin: Callable[[Path], None]) -> None:
        """`begin` starts the run of a config folder in `session`. Raises ConfigFileBroken."""
        self.file = session.root / "runs" / NAME
        self.entries = tuple(Entry(name) for name in _read(self.file))
        self.held = bool(self.entries)
        self.going: str | None = None
        self.sequence = 0
        self._session, self._begin = session, begin
        self._lock = threading.RLock()
        self._driving = False

    def add(self, run: str) -> None:
        """Put a run at the end; where nothing holds the queue and nothing goes on, it starts at once."""
        with self._lock:
            if run in self._names():
                raise TunerError(f"The run '{run}' waits in the queue already.")
            self._keep((*self.entries, Entry(run)))
        self._wake()

    def remove(self, run: str) -> None:
        """Take a run out; its folder stays."""
        with self._lock:
            self._place(run)
            self._keep(tuple(one for one in self.entries if one.run != run))

    def move(self, run: str, places: int) -> None:
        """Up is -1, down is 1; beyond an end, or past the run that goes on, nothing happens."""
        with self._lock:
            old = self._place(run)
            first = 1 if self.going is not None else 0
            rest = [one for one in self.entries if one.run != run]
            new = min(max(old + places, first), len(rest))
            self._keep((*rest[:new], self.entries[old], *rest[new:]))

    def hold(self) -> None:
        """What goes on goes on; nothing else starts until `go_on`."""
        with self._lock:
            self.held = bool(self.entries)
            self.sequence += 1

    def go_on(self) -> None:
        """Start what waits, in turn; runs that could not start are tried again."""
        with self._lock:
            self.held = False
            self._keep(tuple(replace(one, refused="") for one in self.entries))
        self._wake()

    def _names(self) -> list[str]:
        return [one.run for one in self.entries]

    def _place(self, run: str) -> int:
        if run not in self._names():
            raise TunerError(f"There is no run '{run}' in the queue.")
        if run == self.going:
            raise TunerError(f"The run '{run}' is going on.", Advice("Stop it first."))
        return self._names().index(run)

    def _keep(self, entries: tuple[Entry, ...]) -> None:
        """In memory, and in a file that is there whole or not at all."""
        names = [one.run for one in entries]
        if not names:
            self.file.unlink(missing_ok=True)
        elif names != self._names():
            write_text(self.file, to_json(names))
        self.entries = entries
        self.held = self.held and bool(entries)
        self.sequence += 1

    def _wake(self) -> None:
        with self._lock:
            if self._driving or self.held:
                return
            self._driving = True
        threading.Thread(target=self._drive, name="queue", daemon=True).start()

    def _drive(self) -> None:
        while True:
            self._session.join()
            with self._lock:
                waiting = [] if self.held else [one for one in self.entries if not one.refused]
                if not waiting:
                    self._driving = False
                    return
                self.going = waiting[0].run
                # In front, so that nothing is moved past it.
                self._keep((waiting[0], *(one for one in self.entries if one != waiting[0])))
            self._execute(self.file.parent / self.going)

    def _execute(self, run: Path) -> None:
        """One run to its end. Its state is read from its journal, whatever the session does by then."""
        refused: list[TunerError] = []
        with told(refused.append):
            self._begin(RunFolder(run).config)
        if refused and isinstance(refused[0], RunGoingOn):
            self.going = None
            time.sleep(STARTING_SECONDS)
            return
        if refused:
            self._leave(run.name, refused=str(refused[0]))
            return
        self._session.join()
        hopeless = isinstance(self._session.error, HOPELESS)
        if hopeless or read_run(run).state not in ("finished", "failed"):
            with self._lock:
                self.going = None
                self.hold()
        else:
            self._leave(run.name)

    def _leave(self, run: str, refused: str = "") -> None:
        """What could not start moves behind what still can."""
        with self._lock:
            self.going = None
            rest = tuple(one for one in self.entries if one.run != run)
            self._keep((*rest, Entry(run, refused)) if refused else rest)


def _read(file: Path) -> list[str]:
    if not file.is_file():
        return []
    names: list[str] = parse_json(read_text(file), list, file)
    if not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise ConfigFileBroken(f"'{file}' must hold the names of runs.", Advice("Delete it."))
    return names

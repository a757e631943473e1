"""A captioner at work on a thread of its own, as every browser tab sees it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import closing

from tuner.errors import TunerError, told


class Captioning:
    """`sequence` moves with all that the page shows of it, `num_ended` when captions are there to be seen."""

    def __init__(self, report: Callable[[TunerError], None], ended: Callable[[], None]) -> None:
        self.going, self.done, self.total = False, 0, 0
        self.sequence = self.num_ended = 0
        self._report, self._ended = report, ended
        self._stop = threading.Event()
        self._starting = threading.Lock()

    def start(self, made: Generator[tuple[int, int], None, None]) -> None:
        """`made` is what `Session.caption` gives."""
        with self._starting:
            if self.going:
                raise TunerError("Captions are being made.")
            self._stop.clear()
            self.going, self.done, self.total = True, 0, 0
            threading.Thread(target=self._work, args=(made,), name="captions", daemon=True).start()

    def stop(self) -> None:
        """The caption that is being made is the last one."""
        self._stop.set()
        self.sequence += 1

    @property
    def stopping(self) -> bool:
        return self.going and self._stop.is_set()

    def _work(self, made: Generator[tuple[int, int], None, None]) -> None:
        with told(self._report), closing(made):
            for self.done, self.total in made:
                self.sequence += 1
                if self._stop.is_set():
                    break
        self.going = False
        self._ended()
        self.num_ended += 1
        self.sequence += 1

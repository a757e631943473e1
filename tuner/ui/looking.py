"""The pictures of the recipe as they were last looked at, and what the doctor says of them.

The first look at a large folder may take a minute: it goes on by itself, and who asks meanwhile is told how
far it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from tuner.dataset import doctor, scan, tokens
from tuner.dataset.doctor import Finding
from tuner.dataset.scan import Scanned
from tuner.errors import Advice, TunerError, told
from tuner.plan import sources
from tuner.settings.run import RunSettings

PATIENCE_SECONDS = 3.0
"""So long whoever asks first waits for the answer; most folders have been looked at by then."""


class StillLooking(TunerError):
    """The pictures are there, but what they are is not known yet."""


class _Outdated(TunerError):
    """Nobody waits for this look any more."""


class _Look:
    """At one set of pictures, on a thread of its own."""

    def __init__(
        self, settings: RunSettings, known: Sequence[Scanned] | None, ended: Callable[[], None]
    ) -> None:
        """`known` is what an earlier look found, where only the doctor has to judge anew; `ended` is called
        if somebody was told to wait.
        """
        self.pictures, self.texts = _pictures(settings), _texts(settings)
        self.scanned = known
        self.error: TunerError | None = None
        self.findings: tuple[Finding, ...] = ()
        self.done = self.total = 0
        self.is_outdated = self.is_awaited = False
        self._settings, self._tell = settings, ended
        self._seen, self._ended = threading.Event(), threading.Event()
        self._until = time.monotonic() + PATIENCE_SECONDS
        if known is not None:
            self._seen.set()
        threading.Thread(target=self._work, name="look", daemon=True).start()

    @property
    def going(self) -> bool:
        return not self._ended.is_set()

    def seen(self) -> Sequence[Scanned]:
        self._wait(self._seen)
        assert self.scanned is not None
        return self.scanned

    def judged(self) -> tuple[Finding, ...]:
        self._wait(self._ended)
        return self.findings

    def _wait(self, event: threading.Event) -> None:
        if not event.wait(max(0.0, self._until - time.monotonic())):
            self.is_awaited = True
            raise StillLooking(
                f"The pictures are being looked at: {self.done:,} of {self.total:,}.",
                Advice("Wait until that is done; it is remembered for the next time."),
            )
        if self.error is not None:
            raise self.error

    def _work(self) -> None:
        with told(self._fail):
            if self.scanned is None:
                self.scanned = scan.look(self._settings, self._report)
                self._seen.set()
            self.findings = doctor.examine(self.scanned, tokens.flux_encoders(*self.texts))
        self._seen.set()
        self._ended.set()
        if self.is_awaited and not self.is_outdated:
            self._tell()

    def _fail(self, error: TunerError) -> None:
        self.error = error

    def _report(self, done: int, total: int) -> None:
        if self.is_outdated:
            raise _Outdated("Other pictures were chosen.")
        self.done, self.total = done, total


class Looking:
    """Looks again only where something changed that matters to pictures; for all browser tabs at once."""

    def __init__(self, ended: Callable[[], None]) -> None:
        """`ended` is called, by another thread, when a look is done that somebody was told to wait for."""
        self._ended = ended
        self._lock = threading.Lock()
        self._look: _Look | None = None

    @property
    def progress(self) -> tuple[int, int] | None:
        """(pictures looked at, pictures), None where nobody waits."""
        look = self._look
        return (look.done, look.total) if look is not None and look.going and look.is_awaited else None

    def scanned(self, settings: RunSettings) -> Sequence[Scanned]:
        """Raises StillLooking, and SettingsInvalid where a folder is missing."""
        return self._at(settings).seen()

    def findings(self, settings: RunSettings) -> tuple[Finding, ...]:
        """Raises the same."""
        return self._at(settings).judged()

    def forget(self) -> None:
        """The files may have changed."""
        with self._lock:
            self._drop()

    def _at(self, settings: RunSettings) -> _Look:
        """The look at these pictures, begun where there is none; one that failed is done again."""
        with self._lock:
            before, known = self._look, None
            if before is not None and before.error is None and before.pictures == _pictures(settings):
                if before.texts == _texts(settings):
                    return before
                known = before.scanned
            self._drop()
            self._look = _Look(settings, known, self._ended)
            return self._look

    def _drop(self) -> None:
        if self._look is not None:
            self._look.is_outdated = True
        self._look = None


def _pictures(settings: RunSettings) -> object:
    learning = settings.optimization
    return (settings.datasets, settings.dataset, learning.train_batch_size, learning.seed)


def _texts(settings: RunSettings) -> tuple[str, int]:
    return sources.model_place(settings), sources.num_text_tokens(settings)

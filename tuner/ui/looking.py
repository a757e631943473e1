"""The pictures of the recipe as they were last looked at, and what the doctor says of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from tuner.dataset import doctor, scan, tokens
from tuner.dataset.doctor import Finding
from tuner.dataset.scan import Scanned
from tuner.plan import sources
from tuner.settings.run import RunSettings


class Looking:
    """Looks again only where something changed that matters to pictures; for all browser tabs at once."""

    def __init__(self) -> None:
        self._one_at_a_time = threading.RLock()
        self._seen: tuple[object, Sequence[Scanned]] | None = None
        self._found: tuple[object, tuple[Finding, ...]] | None = None

    def scanned(self, settings: RunSettings) -> Sequence[Scanned]:
        """Raises SettingsInvalid where a folder is missing."""
        learning = settings.optimization
        key = (settings.datasets, settings.dataset, learning.train_batch_size, learning.seed)
        with self._one_at_a_time:
            if self._seen is None or self._seen[0] != key:
                self._seen = (key, scan.look(settings))
            return self._seen[1]

    def findings(self, settings: RunSettings) -> tuple[Finding, ...]:
        with self._one_at_a_time:
            scanned = self.scanned(settings)
            encoders = tokens.flux_encoders(sources.model_place(settings), sources.num_text_tokens(settings))
            key = (id(scanned), encoders)
            if self._found is None or self._found[0] != key:
                self._found = (key, doctor.examine(scanned, encoders))
            return self._found[1]

    def forget(self) -> None:
        """The files may have changed."""
        self._seen = self._found = None

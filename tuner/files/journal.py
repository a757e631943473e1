"""events.jsonl, a run's journal: one event a line, appended as it happens, readable after a power cut too."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import IO

from tuner.events import Event, Warned, from_json, to_json

log = logging.getLogger(__name__)


def open_end(path: Path) -> IO[bytes]:
    """To append to; a last line that was left half written gets its line break first."""
    whole = not path.is_file() or path.read_bytes()[-1:] in (b"", b"\n")
    journal = path.open("ab", buffering=0)
    if not whole:
        journal.write(b"\n")
    return journal


def append(journal: IO[bytes], event: Event) -> None:
    """One line, handed to the system at once."""
    journal.write(json.dumps(to_json(event), ensure_ascii=False).encode() + b"\n")


def read(path: Path) -> tuple[list[Event], list[Warned]]:
    """The events; a line that cannot be read is left out, and a warning says so."""
    events: list[Event] = []
    warnings: list[Warned] = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            events.append(from_json(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            log.warning("%s, line %d: %s", path, number, error)
            text = f"Line {number} of '{path}' is damaged, perhaps by a power cut, and was left out."
            warnings.append(Warned(text=text, time=events[-1].time if events else 0.0))
    return events, warnings

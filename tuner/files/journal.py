"""events.jsonl, a run's journal: one event a line, appended as it happens, readable after a power cut too."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import IO

from tuner.events import Event, StepDone, Warned, from_json, to_json

log = logging.getLogger(__name__)

_STEP = json.dumps({"event": StepDone.__name__}).rstrip("}").encode()
"""How the line of a step begins: `to_json` writes the kind first."""


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


def read(path: Path, num_steps: int | None = None) -> tuple[list[Event], list[Warned]]:
    """The events; a line that cannot be read is left out, and a warning says so.

    With `num_steps` only so many of the steps, the last ones: in no time, and all but the curves is as it is.
    """
    events: list[Event] = []
    warnings: list[Warned] = []
    lines = path.read_bytes().splitlines()
    steps = [] if num_steps is None else [n for n, line in enumerate(lines) if line.startswith(_STEP)]
    passed_over = set(steps[: len(steps) - (num_steps or 0)])
    for number, line in enumerate(lines, start=1):
        if number - 1 in passed_over:
            continue
        try:
            events.append(from_json(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            log.warning("%s, line %d: %s", path, number, error)
            text = f"Line {number} of '{path}' is damaged, perhaps by a power cut, and was left out."
            warnings.append(Warned(text=text, time=events[-1].time if events else 0.0))
    return events, warnings

"""Changes of small text files in steps that can be taken back, the last one first."""

from __future__ import annotations

import json
import os
import shutil
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuner.dataset.keys import content_key
from tuner.errors import TunerError

MOST_STEPS = 100
PART = ".fluxtuner.part"
"""Beside a file while it is written; hidden, so that no scan sees it."""


@dataclass(frozen=True)
class Step:
    """One action of the user. What a file held is written down before it is changed, so that also an action
    that was cut off can be taken back.
    """

    journal: Path

    def write(self, path: Path, text: str) -> bool:
        """Replaces the whole file, or makes it; False where it says so already."""
        path, data = Path(os.path.realpath(path)), text.encode()
        before = path.read_bytes() if path.exists() else None
        if before == data:
            return False
        line = {
            "file": str(path),
            "before": None if before is None else b64encode(before).decode(),
            "after": content_key(data),
        }
        with self.journal.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(line) + "\n")
        _replace(path, data)
        return True


@dataclass(frozen=True)
class Undone:
    """`kept` are files that another program has changed since: they stay as they are."""

    title: str
    restored: tuple[Path, ...]
    kept: tuple[Path, ...]


def begin(history: Path, title: str) -> Step:
    """A new step in the folder `history`; the oldest ones are forgotten."""
    history.mkdir(parents=True, exist_ok=True)
    steps = _steps(history)
    for old in steps[: max(0, len(steps) + 1 - MOST_STEPS)]:
        old.unlink()
    number = int(steps[-1].stem) + 1 if steps else 1
    journal = history / f"{number:09}.jsonl"
    journal.write_text(json.dumps({"title": title}) + "\n", encoding="utf-8")
    return Step(journal)


def last(history: Path) -> str | None:
    """The title of the step that `undo` would take back; steps that changed nothing do not count."""
    steps = [one for one in _steps(history) if len(_lines(one)) > 1]
    return str(_lines(steps[-1])[0]["title"]) if steps else None


def undo(history: Path) -> Undone:
    """Takes the last step back; raises TunerError where there is none."""
    for journal in reversed(_steps(history)):
        title, *changes = _lines(journal)
        restored = {Path(one["file"]): _restored(one) for one in reversed(changes)}
        journal.unlink()
        if changes:
            return Undone(
                str(title["title"]),
                tuple(path for path, done in restored.items() if done),
                tuple(path for path, done in restored.items() if not done),
            )
    raise TunerError("There is nothing to undo.")


def _restored(change: dict[str, Any]) -> bool:
    path = Path(change["file"])
    if not path.is_file() or content_key(path.read_bytes()) != change["after"]:
        return False
    if change["before"] is None:
        path.unlink()
    else:
        _replace(path, b64decode(change["before"]))
    return True


def _replace(path: Path, data: bytes) -> None:
    """Written beside and renamed, with the rights that the file had."""
    part = path.with_name(PART)
    part.write_bytes(data)
    if path.exists():
        shutil.copymode(path, part)
    os.replace(part, path)


def _steps(history: Path) -> list[Path]:
    return sorted(history.glob("*.jsonl"))


def _lines(journal: Path) -> list[dict[str, Any]]:
    return list(_whole(journal.read_text(encoding="utf-8")))


def _whole(text: str) -> Iterator[dict[str, Any]]:
    """A last line without its end was cut off before its file was changed."""
    yield from (json.loads(line) for line in text.split("\n")[:-1])

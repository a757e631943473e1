"""Text in, text out: UTF-8, JSON that says plainly where it is broken, files written whole or not at all."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from tuner.errors import Advice, ConfigFileBroken


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark; raises ConfigFileBroken."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigFileBroken(
            f"'{path}' is not UTF-8 text (line {line}).", Advice("Open it in an editor and save it as UTF-8.")
        ) from None


def parse_json(text: str, kind: type[Any], path: Path | str) -> Any:
    """The object or list in `text`; raises ConfigFileBroken with file, line and what to do."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise _broken(text, error, path) from None
    if not isinstance(document, kind):
        expected = "an object in braces { }" if kind is dict else "a list in brackets [ ]"
        raise ConfigFileBroken(
            f"'{path}', line 1: the file must hold {expected}.", Advice("Start again from a preset's file.")
        )
    return document


def _broken(text: str, error: json.JSONDecodeError, path: Path | str) -> ConfigFileBroken:
    unterminated = "Unterminated" in error.msg and "\n" not in text[error.pos :].strip()
    if unterminated or error.pos >= len(text.rstrip()):
        line = text.rstrip().count("\n") + 1
        return ConfigFileBroken(
            f"'{path}' stops in the middle, at line {line}.",
            Advice("Put back a whole copy of it, or have it written again from a preset."),
        )
    return ConfigFileBroken(
        f"'{path}', line {error.lineno}, column {error.colno}: {_plainly(error.msg)}.",
        Advice("Mend that place, and look for a comma or a quote that is missing or one too many."),
    )


def _plainly(message: str) -> str:
    return {
        "Expecting value": "a value is expected here",
        "Expecting property name enclosed in double quotes": "a key in double quotes is expected here",
        "Illegal trailing comma before end of object": "there is a comma too many",
        "Illegal trailing comma before end of array": "there is a comma too many",
        "Expecting ',' delimiter": "a comma is missing here",
        "Expecting ':' delimiter": "a colon is missing here",
        "Extra data": "there is text after the end",
    }.get(message, message[:1].lower() + message[1:])


def line_of(text: str, key: str) -> int:
    """The line (from 1) where a key stands last, with or without dashes; 0 if it does not."""
    found = [match.start() for match in re.finditer(rf'"-*{re.escape(key)}"\s*:', text)]
    return text.count("\n", 0, found[-1]) + 1 if found else 0


def to_json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Writes beside and renames, so that a reader sees the old file or the new one and never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise

"""What the command line writes: results to standard output, everything else to standard error."""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import traceback
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from tuner.errors import SettingsInvalid, TunerError, Unexpected, explain

TRACEBACK_FILE = "fluxtuner-traceback.txt"


def say(line: str) -> None:
    """A line of the result."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def tell(line: str) -> None:
    """A line that is not the result: progress, warnings, errors."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def report(arguments: Namespace, record: Mapping[str, Any], lines: Iterable[str]) -> None:
    """The result: with --json one object, else lines for people."""
    if arguments.json:
        say(json.dumps(record))
    else:
        for line in lines:
            say(line)


def report_error(arguments: Namespace, error: TunerError) -> int:
    """The sentence, or a line for each problem of the settings; with --json an object that a program can act
    on. -> exit code
    """
    if isinstance(error, SettingsInvalid):
        for line in (*(f"Note: {note}" for note in error.notes), *(one.message for one in error.problems)):
            tell(line)
    else:
        tell(str(error))
    if arguments.json:
        say(json.dumps({"error": error_record(error)}))
    return error.exit_code


def error_record(error: TunerError) -> dict[str, Any]:
    problems, notes = (error.problems, error.notes) if isinstance(error, SettingsInvalid) else ((), ())
    return {
        "type": type(error).__name__,
        "message": error.message,
        "advice": [{"text": one.text, "change": dict(one.change)} for one in error.advice],
        "problems": [
            {
                "path": one.path,
                "key": one.key,
                "value": one.value,
                "message": one.message,
                "change": dict(one.change),
            }
            for one in problems
        ],
        "notes": notes,
    }


def explained(exception: Exception) -> TunerError:
    """Any exception as one of ours; what nobody foresaw keeps its traceback in a file, which is named."""
    error = explain(exception)
    if isinstance(error, Unexpected):
        path = Path(tempfile.gettempdir()) / TRACEBACK_FILE
        path.write_text("".join(traceback.format_exception(exception)), encoding="utf-8")
        error.message += f" The details stand in '{path}'."
    return error


def picture_path(text: str) -> Path:
    """A file name that says which format the picture is to have."""
    if Path(text).suffix.lower() not in Image.registered_extensions():
        raise ArgumentTypeError(f"'{text}' does not end like a picture; use a name such as sample.png")
    return Path(text)


def existing_file(text: str) -> Path:
    if not Path(text).is_file():
        raise ArgumentTypeError(f"there is no file '{text}'")
    return Path(text)


def save_picture(image: Image.Image, path: Path) -> None:
    """Written beside and renamed, in the format of its ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.half")
    image.save(half, format=Image.registered_extensions()[path.suffix.lower()])
    os.replace(half, path)


def write_any_letter() -> None:
    """A Windows console with an old code page must not end a run over the name of a picture."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

"""config.env: KEY=value lines for the start of the program."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tuner.settings.environment import of_the_system

NAME = "config.env"
LINE = re.compile(r"^\s*(?:export\s+)?(?P<key>[A-Za-z_][A-Za-z0-9_]*)\s*(?P<sign>\+?=)(?P<value>.*)$")


def read(text: str) -> tuple[dict[str, str], list[str]]:
    """The variables, and a note for each line that is none; `+=` appends, quotes around a value fall away."""
    found: dict[str, str] = {}
    notes = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LINE.match(line)
        if match is None:
            notes.append(
                f"{NAME}, line {number}: '{line.strip()}' is no KEY=value; it stays in the file, unused."
            )
            continue
        value = _value(match["value"])
        key = match["key"]
        found[key] = f"{found.get(key, '')}{value}" if match["sign"] == "+=" else value
    return found, notes


def _value(raw: str) -> str:
    raw = raw.strip()
    if raw[:1] in ("'", '"'):
        end = raw.find(raw[0], 1)
        return raw[1:end] if end > 0 else raw[1:]
    return " ".join(re.split(r"\s#", raw, maxsplit=1)[0].split())


def write(text: str, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """The text with the variables that changed set anew where they stood, new ones at the end."""
    lines = []
    left = {key: value for key, value in after.items() if before.get(key) != value}
    for line in text.splitlines():
        match = LINE.match(line)
        key = match["key"] if match else ""
        if key in before and key not in after:
            continue
        if key in left:
            lines.append(f"{key}={_quoted(left.pop(key))}")
            continue
        lines.append(line)
    lines += [f"{key}={_quoted(value)}" for key, value in left.items()]
    return "".join(f"{line}\n" for line in lines)


def _quoted(value: str) -> str:
    return f'"{value}"' if re.search(r"[\s#'\"]", value) else value


@contextmanager
def in_force(environment: Mapping[str, str]) -> Iterator[None]:
    """What is for other programs and libraries stands in the system's variables, and then as it was."""
    wanted = of_the_system(environment)
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

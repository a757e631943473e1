"""fluxgym: the train.sh or train.bat that it writes for sd-scripts, with the dataset .toml beside it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import tuner.files.importers.kohya as kohya
from tuner.errors import ConfigFileBroken
from tuner.files.importers.recipe import Recipe

SCRIPT = "flux_train_network.py"


def recognises(path: Path, document: Any) -> bool:
    return isinstance(document, str) and SCRIPT in document


def read(path: Path, document: Any) -> Recipe:
    return kohya.read(path, arguments(document, path))


def arguments(text: str, path: Path) -> dict[str, Any]:
    """The words behind the script's name: `--key value`, `--key value value`, `--flag`."""
    joined = re.sub(r"[\\^]\s*\n", " ", text)
    line = next(line for line in joined.splitlines() if SCRIPT in line)
    try:
        words = shlex.split(line.replace("\\", "/"))
    except ValueError as error:
        raise ConfigFileBroken(f"'{path}' has a quote that does not end ({error}).") from None
    start = next(number for number, word in enumerate(words) if word.endswith(SCRIPT))
    found: dict[str, Any] = {}
    key = ""
    for word in words[start + 1 :]:
        if word.startswith("--"):
            key, equals, value = word[2:].partition("=")
            found[key] = value if equals else True
        elif key:
            before = found[key]
            found[key] = (
                word if before is True else [*(before if isinstance(before, list) else [before]), word]
            )
    for name in ("network_args", "optimizer_args"):
        if isinstance(found.get(name), str):
            found[name] = [found[name]]
    return found

"""Pictures that the user leaves out: a list in their folder, which goes with them; they stay as they are."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tuner.errors import Advice, ConfigFileBroken

LIST = ".fluxtuner.json"
"""Hidden, so that no scan takes it for a table of captions."""


def left_out(folder: Path) -> frozenset[Path]:
    """The pictures of `folder` that are not to be learned from; raises ConfigFileBroken."""
    path = folder / LIST
    if not path.is_file():
        return frozenset()
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["left_out"]
        return frozenset(folder / name for name in names)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigFileBroken(
            f"The list of pictures that are left out, '{path}', cannot be read ({error}).",
            Advice("Delete it; then all pictures are used."),
        ) from error


def text(folder: Path, pictures: Iterable[Path]) -> str:
    """What the list says when it holds these."""
    names = sorted(one.relative_to(folder).as_posix() for one in pictures)
    return json.dumps({"left_out": names}, ensure_ascii=False, indent=1) + "\n"

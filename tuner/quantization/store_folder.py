"""Where quantized weights are kept on disk: how much lies there, and how it is cleared. No torch needed."""

from __future__ import annotations

import shutil
from pathlib import Path

from huggingface_hub import constants

MANIFEST = "manifest.json"


def folder() -> Path:
    """One for all runs, beside the downloaded models, where there is room for such files."""
    return Path(constants.HF_HOME) / "fluxtuner-weights"


def num_bytes() -> int:
    """Of everything in it, also of what an interrupted start left behind."""
    return sum(map(_size, folder().rglob("*")))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:  # a run has just renamed it
        return 0


def clear() -> None:
    """Deletes it all: the next start of each run quantizes its model anew."""
    if folder().exists():
        shutil.rmtree(folder())

"""What a plan asks of a checkpoint: its step, and whether it is whole; without torch or reading tensors."""

from __future__ import annotations

import json
from pathlib import Path

from tuner.files.run_folder import ADAPTER_FILE, DICE_FILE, EMA_ADAPTER_FILE, OPTIMIZER_FILE, STATE_FILE

LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header, which is JSON."""


def step(checkpoint: Path) -> int:
    """How many steps its run had made; raises OSError, ValueError, KeyError or TypeError if damaged."""
    return int(json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))["global_step"])


def seed(checkpoint: Path) -> int:
    """The seed its run was made with."""
    return int(json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))["data"]["seed"])


def fault(checkpoint: Path) -> str:
    """What keeps a run from going on from it, as the end of a sentence; "" where nothing does."""
    try:
        step(checkpoint)
    except (OSError, ValueError, KeyError, TypeError):
        return f"its {STATE_FILE} is damaged or missing"
    for name in (ADAPTER_FILE, OPTIMIZER_FILE, DICE_FILE):
        if not _is_whole(checkpoint / name):
            return f"its {name} is damaged or missing"
    ema = checkpoint / EMA_ADAPTER_FILE
    return f"its {EMA_ADAPTER_FILE} is damaged" if ema.parent.exists() and not _is_whole(ema) else ""


def _is_whole(path: Path) -> bool:
    """A safetensors file as long as its header says."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            if length > path.stat().st_size:
                return False
            header = json.loads(file.read(length))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return path.stat().st_size == LENGTH_BYTES + length + max(ends, default=0)

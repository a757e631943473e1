"""What stands in safetensors files, from their headers alone: names, sizes and places; no torch needed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuner.errors import Advice, ModelMissing, TunerError

AGAIN = Advice("Copy or download it again.")


@dataclass(frozen=True)
class Entry:
    """One tensor in a file: `dtype` as safetensors names it, `start` in bytes from the file's beginning."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    num_bytes: int

    @property
    def row_bytes(self) -> int:
        return self.num_bytes // max(1, self.shape[0]) if self.shape else self.num_bytes


def entries(paths: Iterable[Path]) -> dict[str, Entry]:
    """The tensors of several files by name; raises ModelMissing, or TunerError for a damaged or cut file."""
    found: dict[str, Entry] = {}
    for path in paths:
        found |= _of_file(path)
    return found


def metadata(path: Path) -> dict[str, str]:
    """What a file tells of itself; raises as `entries`."""
    told: dict[str, str] = _header(path)[0].get("__metadata__", {})
    return told


def _header(path: Path) -> tuple[dict[str, Any], int, int]:
    """(what the header says, where it ends, the size of the file)"""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if 8 + length <= size else None
    except FileNotFoundError as error:
        raise ModelMissing(f"There is no weight file '{path}'.", AGAIN) from error
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise TunerError(f"The weight file '{path}' is damaged.", AGAIN)
    return header, 8 + length, size


def _of_file(path: Path) -> dict[str, Entry]:
    header, start, size = _header(path)
    found: dict[str, Entry] = {}
    for name, one in header.items():
        if name != "__metadata__":
            first, last = one["data_offsets"]
            found[name] = Entry(path, one["dtype"], tuple(one["shape"]), start + first, last - first)
    if max((one.start + one.num_bytes for one in found.values()), default=start) != size:
        raise TunerError(f"The weight file '{path}' is not complete.", AGAIN)
    return found

"""A trained adapter out of its checkpoint into a file that other programs load; whole, or not there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from tuner.errors import Advice, TunerError
from tuner.export import catalog, convert, place
from tuner.export.check import Verdict, check
from tuner.export.source import Base, read

MAX_HEADER_BYTES = 1 << 20  # ComfyUI shows nothing of a larger header
_NOTHING: Mapping[str, str] = MappingProxyType({})
_DOWN = (".lora_A.weight", ".lora_down.weight")
_EXACT = (".alpha", ".dora_scale", ".lora_magnitude_vector", ".oft_blocks", ".rescale", ".bias.diff")
"""Small or touchy, so never rounded."""
Judged = TypeVar("Judged")


@dataclass(frozen=True)
class ExportReport:
    """`path` is where the file really lies: beside a file of the wanted name it gets a number."""

    path: Path
    dialect: str
    num_tensors: int
    verdict: Verdict
    notes: tuple[str, ...] = ()


def no_base(name: str) -> None:
    """For adapters that need no weights of the base model."""


def export(
    source: Path,
    to: Path,
    dialect: str = "comfyui",
    dtype: str = "float32",
    metadata: Mapping[str, str] = _NOTHING,
    base: Base = no_base,
) -> ExportReport:
    """Writes the adapter file `source` to `to`, or to `name-2`, `name-3` ... if there is such a file.

    Raises TunerError for whatever stands in the way, and where the file that was written would not act as the
    adapter did in training; then there is nothing under the final name.
    """
    row, number_format = catalog.dialect(dialect), _number_format(dtype)
    trained = read(source)
    tensors = _rounded(convert.tensors(trained, row, base), number_format)
    path = _free(to)
    about = {**metadata, **_sizes(tensors), **convert.about(trained, row), "format": "pt"}
    verdict = _write(path, tensors, about, lambda half: check(half, trained, base, row.name, dtype))
    return ExportReport(path, row.name, len(tensors), verdict, convert.notes(trained, row))


def write_tensors(to: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Path:
    """Any tensors to `to`, with the same care and the same errors as an export. -> where they lie"""
    path = _free(to)
    _write(path, tensors, {**metadata, "format": "pt"}, lambda half: None)
    return path


def _number_format(dtype: str) -> torch.dtype:
    if dtype not in catalog.DTYPES:
        raise TunerError(
            f"There is no number format '{dtype}'.", Advice(f"Choose one of: {', '.join(catalog.DTYPES)}.")
        )
    found: torch.dtype = getattr(torch, dtype)
    return found


def _rounded(tensors: Mapping[str, Tensor], number_format: torch.dtype) -> dict[str, Tensor]:
    """The adapter is float32 until this moment, so it is rounded once."""
    rounded = {
        key: values.to(torch.float32 if key.endswith(_EXACT) else number_format).contiguous()
        for key, values in tensors.items()
    }
    for key, values in rounded.items():
        if not torch.isfinite(values).all():
            raise TunerError(
                f"'{key}' holds numbers too large for float16.", Advice("Export as float32 or bfloat16.")
            )
    return rounded


def _sizes(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Rank and alpha of the largest LoRA, for other programs; from the tensors, not from the settings."""
    downs = [key for key in tensors if key.endswith(_DOWN)]
    if not downs:
        return {}
    largest = max(downs, key=lambda key: len(tensors[key]))
    stem = largest.removesuffix(next(end for end in _DOWN if largest.endswith(end)))
    rank = len(tensors[largest])
    alpha = tensors.get(f"{stem}.alpha")
    return {"ss_network_dim": str(rank), "ss_network_alpha": f"{rank if alpha is None else alpha.item():g}"}


def _free(to: Path) -> Path:
    place.checked(to)
    return to.with_name(place.free_name(to.name, to.parent))


def _write(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], judge: Callable[[Path], Judged]
) -> Judged:
    """To a name beside that no program lists, read again and judged, and only then renamed."""
    header, body = _serialized(tensors, metadata)
    if len(header) > MAX_HEADER_BYTES:
        raise TunerError(
            "The metadata of the export is over 1 MiB, so no program would show it.", Advice("Shorten it.")
        )
    with place.whole(path) as half:
        with half.open("wb") as file:
            file.write(header)
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        _verify(half, tensors)
        return judge(half)


def _serialized(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> tuple[bytes, memoryview]:
    """A file's header, with its length before it, and its numbers, whose hash stands in the header.

    `sshs_model_hash` as the additional-networks extension takes it: of everything after the header.
    """
    data = memoryview(save(dict(tensors)))
    start = 8 + int.from_bytes(data[:8], "little")
    body = data[start:]
    digest = hashlib.sha256(body).hexdigest()
    about = {**metadata, "sshs_model_hash": digest, "modelspec.hash_sha256": f"0x{digest}"}
    entries = json.loads(bytes(data[8:start]))
    header = json.dumps({"__metadata__": about, **entries}, ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header, body


def _verify(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raises TunerError unless the file on the disk holds exactly these tensors."""
    with safe_open(path, framework="pt") as file:
        same = set(file.keys()) == tensors.keys() and all(
            torch.equal(file.get_tensor(key), tensors[key]) for key in tensors
        )
    if not same:
        raise TunerError(
            f"'{path.parent}' does not keep what is written to it.", Advice("Choose another disk.")
        )

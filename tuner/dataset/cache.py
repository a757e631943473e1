"""Tensors on disk, one safetensors file a key. An entry is whole or counts as not there."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tuner.errors import Advice, TunerError


class CacheDamaged(TunerError):
    """An entry that was whole when the run began is so no longer; it is deleted."""


class TensorCache:
    """`<folder>/<first two letters>/<key>.safetensors`; several processes may use one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, key: str) -> bool:
        """Whether the entry is there and whole; reads all of it, about 1 GB a second."""
        try:
            tensors, checksum = _read(self._path(key))
        except (FileNotFoundError, SafetensorError):
            return False
        return checksum == _checksum(tensors)

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Writes beside and renames. Tensors may be on any device; they come back on the CPU."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        own = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
        beside = path.with_name(f".{key}.{os.getpid()}-{threading.get_ident()}.tmp")
        try:
            save_file(own, beside, metadata={"crc32": _checksum(own)})
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)

    def get(self, key: str) -> dict[str, Tensor]:
        """The tensors as they were put; KeyError without an entry, CacheDamaged where it cannot be read.

        The bytes are not compared again: whoever fills the cache has asked `has`.
        """
        path = self._path(key)
        try:
            return _read(path)[0]
        except FileNotFoundError:
            raise KeyError(key) from None
        except SafetensorError as error:
            path.unlink()
            raise CacheDamaged(
                f"The cached file '{path}' was damaged and has been deleted.",
                Advice("Press Start again: it is made anew, and the run goes on from its last checkpoint."),
            ) from error

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"


def _read(path: Path) -> tuple[dict[str, Tensor], str | None]:
    """(tensors, the checksum they had when they were written)."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        return tensors, (file.metadata() or {}).get("crc32")


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, total)
    return str(total)

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
    """An entry that looked whole when the run began turned out not to be; it is deleted."""


class TensorCache:
    """`<folder>/<first two letters>/<key>.safetensors`; several processes may use one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, key: str) -> bool:
        """Whether the entry is there with all its bytes; reads the header only, which takes microseconds."""
        try:
            with safe_open(self._path(key), framework="pt"):
                return True
        except (FileNotFoundError, SafetensorError):
            return False

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
        """The tensors as they were put; KeyError without an entry, CacheDamaged where its bytes changed."""
        path = self._path(key)
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
                whole = (file.metadata() or {}).get("crc32") == _checksum(tensors)
        except FileNotFoundError:
            raise KeyError(key) from None
        except SafetensorError:
            whole = False
        if not whole:
            path.unlink()
            raise CacheDamaged(
                f"The cached file '{path}' was damaged and has been deleted.",
                Advice("Press Start again: it is made anew, and the run goes on from its last checkpoint."),
            )
        return tensors

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, total)
    return str(total)

"""Tensors on disk, one safetensors file a key. An entry is whole or counts as not there."""

from __future__ import annotations

import json
import os
import threading
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from tuner.errors import Advice, TunerError


class CacheDamaged(TunerError):
    """An entry that was whole when the run began is so no longer; it is deleted."""


class TensorCache:
    """`<folder>/<first two letters>/<key>.safetensors`; several processes may use one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._reader = ThreadPoolExecutor(1, "reads ahead")
        self._expected: dict[str, Future[dict[str, Tensor]]] = {}

    def expect(self, keys: Iterable[str]) -> None:
        """Begins to read these entries on a thread, so that `get` finds them in memory; what was expected
        before, and not asked for, is forgotten.
        """
        self._expected = {key: self._reader.submit(self._get, key) for key in dict.fromkeys(keys)}

    def has(self, key: str) -> bool:
        """Whether the entry is there and whole; reads all of it, about 1 GB a second."""
        try:
            tensors, checksum = _read(self._path(key))
        except (FileNotFoundError, SafetensorError):
            return False
        return checksum == _checksum(tensors)

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Writes beside and renames. Tensors may be on any device; they come back on the CPU."""
        self._expected.pop(key, None)
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
        expected = self._expected.pop(key, None)
        return self._get(key) if expected is None else expected.result()

    def _get(self, key: str) -> dict[str, Tensor]:
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
    """(tensors, the checksum they had when they were written); read at once, not when they are looked at."""
    data = path.read_bytes()
    tensors = load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return tensors, header.get("__metadata__", {}).get("crc32")


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, total)
    return str(total)

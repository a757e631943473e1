"""Quantized layers kept on disk: made while a model streams in for the first time, read at the next start.

A store is a folder with a safetensors file a layer and a manifest that is written last; it is made beside and
renamed. What it was made from stands in the manifest: where that is no longer so, it is made anew. Every file
carries its checksum: a damaged one counts as missing, and is replaced by what is put in its place.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import zlib
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import torch
from torch import Tensor

from tuner.quantization.store_folder import MANIFEST

log = logging.getLogger(__name__)

RECIPE = 1
"""Raise it when quantizing gives other numbers, or the files look different."""
LIBRARIES = ("torch", "optimum-quanto", "bitsandbytes")
SPARE_BYTES = 5 * 10**9
"""A disk is not filled beyond this for the sake of a quicker start."""
_READ_AHEAD = 3
_LONGEST_HEADER = 10**6
_DTYPES = {
    "U8": torch.uint8,
    "I64": torch.int64,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F32": torch.float32,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def made_by() -> dict[str, Any]:
    """What the numbers in a store depend on beside their source and precision."""
    return {"recipe": RECIPE, **{name: version(name) for name in LIBRARIES}}


class WeightStore:
    """The layers of one part of a model in one precision, by their paths; `origin` is all that they follow
    from. Used in a `with` statement, whose end without an error makes a new store complete.
    """

    def __init__(self, folder: Path, origin: Mapping[str, Any]) -> None:
        self._folder, self._origin = folder, dict(origin)
        self._order = _order(folder, self._origin)
        self._beside = None if self._order else folder.with_name(f"{folder.name}.{os.getpid()}.part")
        self._put: list[str] = []
        self._ahead: dict[str, Future[dict[str, Tensor] | None]] = {}
        self._pool = ThreadPoolExecutor(_READ_AHEAD)

    def __enter__(self) -> WeightStore:
        if self._beside is not None:
            _delete_left_behind(self._folder)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)
        if self._beside is None:
            return
        if kind is None and self._put:
            self._complete(self._beside)
        else:
            shutil.rmtree(self._beside, ignore_errors=True)

    @property
    def is_complete(self) -> bool:
        return bool(self._order)

    def get(self, path: str) -> dict[str, Tensor] | None:
        """What was put for the layer, on the CPU; None where nothing was, or it is damaged.

        Files are read ahead in the order in which they were put.
        """
        if not self.is_complete:
            return None
        first = self._order.get(path)
        if first is None:
            return _read(_file(self._folder, path))
        self._ahead = {
            name: self._ahead.get(name) or self._pool.submit(_read, _file(self._folder, name))
            for name in list(self._order)[first : first + 1 + _READ_AHEAD]
        }
        return self._ahead.pop(path).result()

    def put(self, path: str, tensors: Mapping[str, Tensor]) -> None:
        """Keeps the layer; where the disk has no room for it, a new store is given up, and that is told."""
        if self._beside is None and not self.is_complete:
            return
        folder = self._beside or self._folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(folder).free < SPARE_BYTES:
                raise OSError(f"less than {SPARE_BYTES / 1e9:.0f} GB are free")
            _write(_file(folder, path), tensors)
            self._put.append(path)
        except OSError as error:
            self._give_up(error)

    def _complete(self, beside: Path) -> None:
        document = {"origin": self._origin, "layers": self._put}
        try:
            (beside / MANIFEST).write_text(json.dumps(document), encoding="utf-8")
            if self._folder.exists():
                shutil.rmtree(self._folder)
            os.replace(beside, self._folder)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        log.warning(
            "The quantized model is not kept for the next start: '%s' cannot be written (%s).",
            self._folder, error,
        )  # fmt: skip
        if self._beside is not None:
            shutil.rmtree(self._beside, ignore_errors=True)
            self._beside = None
            self._put.clear()


def _order(folder: Path, origin: Mapping[str, Any]) -> dict[str, int]:
    """The place of each layer in a complete store of this origin; nothing where there is none."""
    try:
        document = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        same = document["origin"] == json.loads(json.dumps(origin))
        return {name: number for number, name in enumerate(document["layers"])} if same else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _delete_left_behind(folder: Path) -> None:
    """What other processes did not finish that are no longer there."""
    for path in folder.parent.glob(f"{folder.name}.*.part"):
        process = path.name.split(".")[-2]
        if not process.isdigit() or int(process) == os.getpid() or not psutil.pid_exists(int(process)):
            shutil.rmtree(path, ignore_errors=True)


def _file(folder: Path, path: str) -> Path:
    return folder / f"{path}.safetensors"


def _write(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """A safetensors file, beside and renamed."""
    own = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header: dict[str, Any] = {}
    start = checksum = 0
    for name, tensor in own.items():
        end = start + tensor.nbytes
        header[name] = {
            "dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end],
        }  # fmt: skip
        checksum, start = zlib.crc32(_bytes(tensor), checksum), end
    sums = {"header": str(_header_sum(header)), "data": str(checksum)}
    text = json.dumps({"__metadata__": sums, **header}).encode()
    text += b" " * (-len(text) % 8)
    beside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with beside.open("wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for tensor in own.values():
            out.write(_bytes(tensor))
    os.replace(beside, file)


def _read(file: Path) -> dict[str, Tensor] | None:
    """What `_write` wrote; None where the file is not there or not what it was."""
    try:
        with file.open("rb") as source:
            length = int.from_bytes(source.read(8), "little")
            header = json.loads(source.read(min(length, _LONGEST_HEADER)))
            sums = header.pop("__metadata__")
            if sums["header"] != str(_header_sum(header)):
                return None
            checksum, tensors = 0, {}
            for name, one in header.items():
                tensor = torch.empty(one["shape"], dtype=_DTYPES[one["dtype"]])
                if source.readinto(_bytes(tensor)) != tensor.nbytes:
                    return None
                checksum, tensors[name] = zlib.crc32(_bytes(tensor), checksum), tensor
            return tensors if sums["data"] == str(checksum) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _header_sum(header: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(header).encode())


def _bytes(tensor: Tensor) -> memoryview:
    return memoryview(tensor.reshape(-1).view(torch.uint8).numpy())

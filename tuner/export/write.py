"""A trained adapter out of its checkpoint into a file that other programs load; whole, or not there."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from tuner.errors import Advice, DiskFull, TunerError
from tuner.export import catalog, names

MAX_HEADER_BYTES = 1 << 20  # ComfyUI shows nothing of a larger header
_NOTHING: Mapping[str, str] = MappingProxyType({})
_FORBIDDEN = re.compile(r'[\\/:*?"<>|\x00-\x1f]')  # in a file name, on one system or another


@dataclass(frozen=True)
class ExportReport:
    """`path` is where the file really lies: beside a file of the wanted name it gets a number."""

    path: Path
    dialect: str
    num_tensors: int


@dataclass(frozen=True)
class Lora:
    """One module: the change of its weight is alpha / r * up (out, r) @ down (r, in)."""

    down: Tensor
    up: Tensor
    alpha: Tensor

    @property
    def rank(self) -> int:
        return self.down.shape[0]


def export(
    source: Path,
    to: Path,
    dialect: str = "comfyui",
    dtype: str = "float32",
    metadata: Mapping[str, str] = _NOTHING,
) -> ExportReport:
    """Writes the adapter file `source` to `to`, or to `name-2`, `name-3` ... if there is such a file.

    Raises TunerError for whatever stands in the way; then there is nothing under the final name.
    """
    row, number_format = catalog.dialect(dialect), _number_format(dtype)
    modules = _read(source)
    tensors = _tensors(modules, row, number_format)
    if unknown := names.unknown_keys(tensors):
        raise TunerError(
            f"ComfyUI would leave out {len(unknown)} of {len(tensors)} tensors, the first is '{unknown[0]}'.",
            Advice("Train layers of FLUX.1 only."),
        )
    path = _free(_checked(to))
    _write(path, tensors, {**metadata, **_sizes(modules, row), "format": "pt"})
    return ExportReport(path, row.name, len(tensors))


def _number_format(dtype: str) -> torch.dtype:
    if dtype not in catalog.DTYPES:
        raise TunerError(
            f"There is no number format '{dtype}'.", Advice(f"Choose one of: {', '.join(catalog.DTYPES)}.")
        )
    found: torch.dtype = getattr(torch, dtype)
    return found


def _read(source: Path) -> dict[str, Lora]:
    """The modules of a checkpoint's adapter file, by key without suffix; TunerError on a damaged file."""
    try:
        tensors = load_file(source)
    except (OSError, SafetensorError) as error:
        raise TunerError(
            f"The adapter file '{source}' cannot be read.", Advice("Export another checkpoint.")
        ) from error
    stems = dict.fromkeys(
        key.removesuffix(suffix) for key in tensors for suffix in names.SUFFIXES if key.endswith(suffix)
    )
    wanted = {stem + suffix for stem in stems for suffix in names.SUFFIXES}
    if not tensors or (odd := sorted(wanted ^ tensors.keys())):
        raise _damaged(source, f"'{odd[0]}' is missing or out of place" if tensors else "it is empty")
    modules = {stem: Lora(*(tensors[stem + suffix] for suffix in names.SUFFIXES)) for stem in stems}
    for stem, lora in modules.items():
        if (
            lora.down.dim() != 2
            or lora.up.dim() != 2
            or lora.up.shape[1] != lora.rank
            or lora.alpha.dim() != 0
        ):
            raise _damaged(source, f"the shapes of '{stem}' do not belong together")
        if not all(torch.isfinite(part).all() for part in (lora.down, lora.up, lora.alpha)):
            raise _damaged(source, f"'{stem}' holds numbers that are not finite")
    return modules


def _damaged(source: Path, why: str) -> TunerError:
    return TunerError(f"The adapter file '{source}' is damaged: {why}.", Advice("Export another checkpoint."))


def _tensors(
    modules: Mapping[str, Lora], row: catalog.Dialect, number_format: torch.dtype
) -> dict[str, Tensor]:
    """What the file holds; the adapter is float32 until this moment, so it is rounded once."""
    tensors: dict[str, Tensor] = {}
    for stem, lora in modules.items():
        alpha = lora.alpha.float()
        up = lora.up.float() if row.alpha_tensors else lora.up.float() * (alpha / lora.rank)
        tensors[stem + names.DOWN] = _rounded(stem, lora.down, number_format)
        tensors[stem + names.UP] = _rounded(stem, up, number_format)
        if row.alpha_tensors:
            tensors[stem + names.ALPHA] = alpha
    return tensors


def _rounded(stem: str, values: Tensor, number_format: torch.dtype) -> Tensor:
    rounded = values.to(number_format).contiguous()
    if not torch.isfinite(rounded).all():
        raise TunerError(
            f"'{stem}' holds numbers too large for float16.", Advice("Export as float32 or bfloat16.")
        )
    return rounded


def _sizes(modules: Mapping[str, Lora], row: catalog.Dialect) -> dict[str, str]:
    """Rank and alpha of the largest module, for other programs; from the tensors, not the settings."""
    largest = max(modules.values(), key=lambda lora: lora.rank)
    alpha = largest.alpha.item() if row.alpha_tensors else largest.rank
    return {"ss_network_dim": str(largest.rank), "ss_network_alpha": f"{alpha:g}"}


def _checked(to: Path) -> Path:
    """Refuses names that ComfyUI does not list, or that another system cannot write."""
    if to.suffix != ".safetensors" or _FORBIDDEN.search(to.name):
        raise TunerError(
            f"'{to.name}' cannot be the name of an export.",
            Advice('Choose a name that ends in .safetensors and holds none of \\ / : * ? " < > |.'),
        )
    if not to.parent.is_dir():
        raise TunerError(
            f"The folder '{to.parent}' does not exist.",
            Advice("Create it first, or choose a name without a slash."),
        )
    return to


def _free(to: Path) -> Path:
    """`to`, or the first free one of `<stem>-2`, `<stem>-3` ...; programs keep what they read by its path."""
    path, number = to, 2
    while os.path.lexists(path):
        path, number = to.with_stem(f"{to.stem}-{number}"), number + 1
    return path


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """To a name beside that no program lists, read again, and only then renamed."""
    data = save(dict(tensors), dict(metadata))
    if int.from_bytes(data[:8], "little") > MAX_HEADER_BYTES:
        raise TunerError(
            "The metadata of the export is over 1 MiB, so no program would show it.", Advice("Shorten it.")
        )
    half = path.with_name(f".{path.name}.part")
    try:
        with half.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _verify(half, tensors)
        os.replace(half, path)
    except OSError as error:
        raise _in_words(error, path) from error
    finally:
        half.unlink(missing_ok=True)


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


def _in_words(error: OSError, path: Path) -> TunerError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            f"The disk with '{path.parent}' is full, so the export was not written.",
            Advice("Free some space, or choose a folder on another disk."),
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return TunerError(
            f"The folder '{path.parent}' may not be written to.", Advice("Choose another folder.")
        )
    return TunerError(f"'{path}' could not be written: {error.strerror}.", Advice("Choose another place."))

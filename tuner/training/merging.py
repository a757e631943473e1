"""A finished adapter worked into the weights of its transformer: a whole model, written piece by piece."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

import tuner
from tuner.errors import Advice, CheckpointMismatch, DiskFull, TunerError
from tuner.export import formulas, place
from tuner.export.source import Trained, read
from tuner.flux import loading, single_file
from tuner.flux.weights import Weights
from tuner.training.exporting import Finished
from tuner.training.models import transformer_source

_WEIGHTS = "diffusion_pytorch_model.safetensors"
_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
_SPARE_BYTES = 1 << 28

Layout = Mapping[str, tuple[tuple[str, bool], ...]]
"""By the name in the file: diffusers' tensors stacked in it, each with whether its halves change places."""


def merge(finished: Finished, to: Path, strength: float = 1.0, dtype: torch.dtype = torch.bfloat16) -> Path:
    """The transformer with the adapter inside: a single file in BFL's layout where `to` ends in .safetensors,
    else a folder for diffusers. Raises TunerError; whole or not there, and never over another.
    """
    if os.path.lexists(to):
        raise TunerError(f"'{to}' is there already.", Advice("Choose another name."))
    trained = read(finished.checkpoint / finished.file)
    config, weights = loading.contents(transformer_source(finished.settings))
    names = [name for name in weights.tensors if name.endswith((".weight", ".bias"))]
    _refuse_strangers(trained, names)
    one_file = single_file.is_single_file(to.name)
    layout = single_file.bfl_layout(names) if one_file else {name: ((name, False),) for name in names}
    to.parent.mkdir(parents=True, exist_ok=True)
    _refuse_full_disk(weights, names, to, dtype.itemsize)

    def merged(name: str) -> Tensor:
        return _merged(weights.read(name), name, trained, strength).to(dtype)

    with place.whole(to) as half:
        if one_file:
            _write(half, layout, weights, merged, dtype)
        else:
            half.mkdir()
            _write(half / _WEIGHTS, layout, weights, merged, dtype)
            text = json.dumps({"_class_name": "FluxTransformer2DModel", **config}, indent=2)
            (half / "config.json").write_text(text + "\n", encoding="utf-8")
    return to


def _merged(values: Tensor, name: str, trained: Trained, strength: float) -> Tensor:
    """What training made of one tensor, computed in float32."""
    module, _, leaf = name.rpartition(".")
    part = trained.modules.get(module)
    if part is None:
        return values
    before = values.float()
    if leaf == "weight":
        after = formulas.trained_weight(part, before)
    else:
        after = formulas.trained_bias(part, before, trained.bypassed)
    return before + strength * (after - before)


def _write(
    path: Path, layout: Layout, weights: Weights, merged: Callable[[str], Tensor], dtype: torch.dtype
) -> None:
    """At most one stacked tensor lies in memory."""
    header: dict[str, object] = {"__metadata__": {"format": "pt", "fluxtuner.version": tuner.__version__}}
    end = 0
    for name, parts in layout.items():
        shapes = [_shape(weights, one) for one, _ in parts]
        shape = [sum(one[0] for one in shapes), *shapes[0][1:]]
        start, end = end, end + math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": _NAMES[dtype], "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for parts in layout.values():
            for name, swapped in parts:
                values = merged(name)
                if swapped:
                    values = values.roll(len(values) // 2, 0)
                file.write(memoryview(values.contiguous().view(-1).view(torch.uint8).numpy()))
        file.flush()
        os.fsync(file.fileno())


def _shape(weights: Weights, name: str) -> tuple[int, ...]:
    stacked = weights.tensors[name]
    return (sum(piece.shape[0] for piece in stacked), *stacked[0].shape[1:])


def _refuse_strangers(trained: Trained, names: list[str]) -> None:
    there = set(names)
    if lost := sorted(module for module in trained.modules if f"{module}.weight" not in there):
        raise CheckpointMismatch(
            f"The adapter trained {len(lost)} layers that the base model does not have, the first is "
            f"'{lost[0]}'.",
            Advice("Give the model that it was trained on."),
        )


def _refuse_full_disk(weights: Weights, names: list[str], to: Path, item_bytes: int) -> None:
    needed = sum(math.prod(_shape(weights, name)) for name in names) * item_bytes + _SPARE_BYTES
    free = shutil.disk_usage(to.parent).free
    if free < needed:
        raise DiskFull(
            f"The merged model needs {needed / 1e9:.1f} GB, and the disk with '{to.parent}' has "
            f"{free / 1e9:.1f} GB left.",
            Advice("Free some space, or choose a folder on another disk."),
        )

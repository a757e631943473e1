"""The load check: whether a file that was written acts, once loaded, as the adapter acted in training."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from tuner.errors import Advice, TunerError
from tuner.export import formulas
from tuner.export.loader import Patch, Slot, num_parts, patched, patches, slots
from tuner.export.source import Base, Trained

TOLERANCE: Mapping[str, float] = {"float32": 1e-4, "float16": 1e-3, "bfloat16": 1e-2}
"""How far the effect of a file may be off, relative to itself, by the number format of the file."""

_OF_THE_WEIGHT = 2.0**-22
"""And relative to the weight itself: what float32 cannot tell apart."""

_COMPARE_ALL = 50_000_000
"""Numbers in the trained weights, up to which every layer is compared; above it, one of each kind."""

_DEFECT = Advice("This is a defect of FluxTuner: keep the checkpoint, and report it.")

_Layers = Mapping[str, Mapping[str, Slot]]
"""ComfyUI's layers by name, and the trained modules that stand in each."""


@dataclass(frozen=True)
class Verdict:
    """Of a file that passed. `without_base`: random weights stood in for those of the base model."""

    num_tensors: int
    num_modules: int
    num_compared: int
    without_base: bool

    @property
    def sentence(self) -> str:
        doubt = ", on random weights because the base model was out of reach" if self.without_base else ""
        return (
            f"{self.num_tensors} of {self.num_tensors} tensors will load; "
            f"{self.num_compared} of {self.num_modules} layers were compared and act as trained{doubt}."
        )


def check(path: Path, trained: Trained, base: Base, dialect: str, dtype: str) -> Verdict:
    """Reads the file as ComfyUI would, or diffusers for its dialect; raises TunerError where it is wrong."""
    tensors = load_file(path)
    found, strange = patches(tensors, dialect)
    if strange:
        raise TunerError(
            f"{len(strange)} of {len(tensors)} tensors would not load, the first is '{strange[0]}'.", _DEFECT
        )
    layers = _layers(trained)
    _refuse_gaps(found, layers)
    chosen = _chosen(layers, trained)
    for name in chosen:
        for half in ("weight", "bias"):
            _compare(layers[name], half, trained, base, found, dtype)
    modules = [module for name in chosen for module in layers[name]]
    return Verdict(
        num_tensors=len(tensors),
        num_modules=len(trained.modules),
        num_compared=len(modules),
        without_base=any(
            formulas.depends(trained.modules[module]) and base(f"{module}.weight") is None
            for module in modules
        ),
    )


def _layers(trained: Trained) -> _Layers:
    found: dict[str, dict[str, Slot]] = {}
    for module in trained.modules:
        slot = slots()[module]
        found.setdefault(slot.parameter, {})[module] = slot
    return found


def _refuse_gaps(found: Sequence[Patch], layers: _Layers) -> None:
    """Every trained module is changed by exactly one patch; biases are left to the comparison."""
    there = Counter(patch.slot for patch in found if not patch.slot.parameter.endswith(".bias"))
    for name, modules in layers.items():
        for module, slot in modules.items():
            if there[slot] + (there[Slot(name)] if slot != Slot(name) else 0) != 1:
                raise TunerError(f"The file does not change '{module}' once, as training did.", _DEFECT)
    wanted = {slot for modules in layers.values() for slot in modules.values()} | set(map(Slot, layers))
    if extra := sorted(slot.parameter for slot in there if slot not in wanted):
        raise TunerError(f"The file changes '{extra[0]}', which was not trained.", _DEFECT)


def _chosen(layers: _Layers, trained: Trained) -> list[str]:
    """The layers to compare: all, or the last of each kind (`double_blocks.18.img_attn.qkv`)."""
    sizes = map(formulas.shape, trained.modules.values())
    if sum((rows or columns) * (columns or rows) for rows, columns in sizes) <= _COMPARE_ALL:
        return list(layers)
    return list({re.sub(r"\d+", "", name, count=1): name for name in layers}.values())


def _compare(
    modules: Mapping[str, Slot], half: str, trained: Trained, base: Base, found: Sequence[Patch], dtype: str
) -> None:
    """Of one layer, `half` its weight or bias: what the file makes of it against what training made of it."""
    before, after = _before_and_after(modules, half, trained, base)
    name = next(iter(modules.values())).parameter + (".bias" if half == "bias" else "")
    got = before.clone()
    for patch in (patch for patch in found if patch.slot.parameter == name):
        hidden = len(got) // num_parts(name)
        start = patch.slot.start * hidden
        rows = slice(start, start + patch.slot.length * hidden) if patch.slot.length else slice(None)
        got[rows] = patched(patch, got[rows])
    error, size = (got - after).norm().item(), (after - before).norm().item()
    if not error <= TOLERANCE[dtype] * size + _OF_THE_WEIGHT * before.norm().item():
        rounder = Advice("Export as float32.") if dtype != "float32" else _DEFECT
        raise TunerError(
            f"The file would not act as the adapter was trained: the {half} of '{next(iter(modules))}' "
            f"changes by {error / max(size, 1e-30):.1%} too much or too little.",
            rounder,
        )


def _before_and_after(
    modules: Mapping[str, Slot], half: str, trained: Trained, base: Base
) -> tuple[Tensor, Tensor]:
    """The weight (rows, in) or bias (rows,) of one of ComfyUI's layers, untrained and trained.

    Float64 where the effect is a small difference of large numbers. Where it is just added, the weight is
    zero; and so are the rows of modules that were not trained, because nothing may change there.
    """
    shapes = [formulas.shape(trained.modules[module]) for module in modules]
    columns = (max(columns for _, columns in shapes),) if half == "weight" else ()
    pieces = []
    for (module, slot), (num_rows, _) in zip(modules.items(), shapes, strict=True):
        part = trained.modules[module]
        if formulas.depends(part):
            old = _original(f"{module}.{half}", (num_rows, *columns), base)
        else:
            old = torch.zeros(num_rows, *columns)
        if half == "weight":
            new = formulas.trained_weight(part, old)
        else:
            new = formulas.trained_bias(part, old, trained.bypassed)
        hidden = len(old) // max(slot.length, 1)
        pieces.append((slice(slot.start * hidden, slot.start * hidden + len(old)), slot, old, new))
    before = torch.zeros(num_parts(slot.parameter) * hidden, *old.shape[1:], dtype=old.dtype)
    after = before.clone()
    for rows, slot, old, new in pieces:
        before[rows], after[rows] = _arranged(old, slot), _arranged(new, slot)
    return before, after


def _arranged(values: Tensor, slot: Slot) -> Tensor:
    """Rows in ComfyUI's order: the last modulation has its halves the other way round."""
    return torch.cat(values.chunk(2)[::-1]) if slot.turned else values


def _original(name: str, shape: tuple[int, ...], base: Base) -> Tensor:
    """A parameter of the base model, or random numbers in its place; a side of `shape` may be 0: unknown."""
    found = base(name)
    if found is None:
        sizes = [size or 8 for size in shape]
        return torch.randn(sizes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    if any(size not in (0, real) for size, real in zip(shape, found.shape, strict=True)):
        raise TunerError(
            f"The adapter does not fit the base model: there '{name}' is {tuple(found.shape)}, not {shape}.",
            Advice("Give the model that the adapter was trained on."),
        )
    return found.double().cpu()

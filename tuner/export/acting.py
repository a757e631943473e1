"""A file at work: a transformer's weights as ComfyUI makes them with it, one tensor after the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tuner.errors import Advice, TunerError
from tuner.export.loader import Patch, Slot, num_parts, patched, patches, slots


def acting(file: Path, strength: float = 1.0) -> Callable[[str, Tensor], Tensor]:
    """(a parameter's name in diffusers, its values) -> what it is with the file, float32; what the file does
    not touch stays as it is. Raises TunerError where the file cannot be read, or holds keys that ComfyUI
    would leave out.
    """
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise TunerError(f"The file '{file}' cannot be read.", Advice("Export it once more.")) from error
    found, strange = patches(tensors, "comfyui")
    if strange:
        raise TunerError(
            f"ComfyUI would leave out {len(strange)} of {len(tensors)} tensors of '{file.name}', the first "
            f"is '{strange[0]}'.",
            Advice("Export it in the dialect 'comfyui'."),
        )
    by_slot = {patch.slot: patch for patch in found}

    def change(name: str, values: Tensor) -> Tensor:
        module, _, half = name.rpartition(".")
        slot = slots().get(module)
        if slot is None:
            return values
        places = {slot, Slot(slot.parameter)} if half == "weight" else {Slot(f"{slot.parameter}.bias")}
        for patch in (by_slot[place] for place in places if place in by_slot):
            values = _with(patch, slot, values.float(), strength)
        return values

    return change


def _with(patch: Patch, slot: Slot, values: Tensor, strength: float) -> Tensor:
    """`values` are the rows of diffusers' layer at `slot`; a patch of a whole fused matrix is added to it."""
    if patch.slot.length == 0 and slot.length:
        hidden = len(values) // slot.length
        nothing = torch.zeros(num_parts(slot.parameter) * hidden, *values.shape[1:])
        added = patched(patch, nothing)[slot.start * hidden : slot.start * hidden + len(values)]
        return values + strength * added
    before = _turned(values, slot)
    return _turned(before + strength * (patched(patch, before) - before), slot)


def _turned(rows: Tensor, slot: Slot) -> Tensor:
    """Between diffusers' order and ComfyUI's, in either direction."""
    return torch.cat(rows.chunk(2)[::-1]) if slot.turned else rows

"""LoRA files of other programs as a checkpoint holds them: a layer each, with an alpha, all of one rank."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from tuner.errors import Advice, CheckpointMismatch
from tuner.export import names
from tuner.export.dialects import LYCORIS_WORDS, A, B, Place, places, rank

_ROWS = (B, "dora_scale")
"""What has a row for each output of a layer."""
_Parts = dict[str, dict[str, Tensor]]


def as_ours(tensors: Mapping[str, Tensor], file: Path) -> dict[str, Tensor]:
    """The same effect in the names of a checkpoint; what text encoders learned is left out. Files of
    FluxTuner stay as they are. Raises CheckpointMismatch where a key leads nowhere.
    """
    found = places(tensors, file)
    products = {one.modules for one in found.values() if one.suffix in LYCORIS_WORDS}
    groups: dict[tuple[tuple[str, ...], bool], dict[str, Tensor]] = {}
    others: dict[str, Tensor] = {}
    for key, one in found.items():
        if key.startswith("lycoris_"):
            others[key] = tensors[key]
        elif one.modules in products:
            others[f"{names.lycoris_stem(_alone(one, key, file))}.{one.suffix}"] = tensors[key]
        else:
            groups.setdefault((one.modules, one.native), {})[one.suffix] = tensors[key].float()
    whole = rank({key: tuple(tensor.shape) for key, tensor in tensors.items()}, file)
    parts: _Parts = {}
    for (modules, native), part in groups.items():
        parts |= _parts(modules, part) if native else {modules[0]: part}
    return others | {
        f"{names.stem(module)}.{suffix}": tensor
        for module, part in parts.items()
        for suffix, tensor in _of_rank(whole, part).items()
    }


def with_norms(
    tensors: Mapping[str, Tensor], weight: Callable[[str], Tensor], converted: Callable[[str], Tensor] | None
) -> dict[str, Tensor]:
    """What `as_ours` made, for a DoRA: each layer gets the norms that its rows have after the change.

    A LoRA keeps its effect on `weight` (out, in), by module. A `dora_scale` holds those norms; but where
    `converted` is given, our exporter made it of them for ComfyUI, over these weights.
    """
    found = {key: tensor for key, tensor in tensors.items() if not key.endswith(".dora_scale")}
    for key in tensors:
        stem = key.removesuffix(f".{A}")
        if stem == key or f"{stem}.lora_magnitude_vector" in tensors:
            continue
        module, down, up = stem.removeprefix("transformer."), tensors[key], tensors[f"{stem}.{B}"]
        delta = tensors.get(f"{stem}.alpha", torch.tensor(float(len(down)))) / len(down) * (up @ down)
        scale = tensors.get(f"{stem}.dora_scale")
        if scale is None:
            norms = (weight(module).cpu() + delta).norm(dim=1)
        elif scale.shape != (len(up), 1):
            raise CheckpointMismatch(
                f"The DoRA in the file works on columns at '{module}', ours on rows.",
                Advice("Start from a fresh adapter.", {"adapter.init_lora": None}),
            )
        elif converted is None:
            norms = scale.flatten()
        else:
            base, own = converted(module).cpu(), names.in_native_order(module, scale.flatten())
            norms = own * (base + delta).norm(dim=1) / base.norm(dim=1)
        found[f"{stem}.lora_magnitude_vector"] = norms
    return found


def _alone(one: Place, key: str, file: Path) -> str:
    """LyCORIS' products cannot be cut into rows."""
    if one.fused:
        raise CheckpointMismatch(
            f"'{file}' holds '{key}' for q, k and v in one matrix, which cannot be taken apart.",
            Advice("Start from a file in the names of diffusers.", {"adapter.init_lora": None}),
        )
    return one.modules[0]


def _parts(modules: tuple[str, ...], part: Mapping[str, Tensor]) -> _Parts:
    """Of BFL's matrix, its rows by layer: all share A, but for the ranks that have no say in them."""
    if len(modules) == 1:
        turned = {
            suffix: names.in_native_order(modules[0], part[suffix]) for suffix in _ROWS if suffix in part
        }
        return {modules[0]: {**part, **turned}}
    if B not in part or A not in part:
        return {modules[0]: dict(part)}
    places_of = [names.native_of(module).rows or (0, 1) for module in modules]
    hidden = len(part[B]) // names.native_of(modules[0]).num_rows
    number = len(part[A])
    alpha = part.get("alpha", torch.tensor(float(number)))
    found = {}
    for module, (start, end) in zip(modules, places_of, strict=True):
        up = part[B][start * hidden : end * hidden]
        acting = up.abs().sum(0) > 0
        if not acting.any():
            acting[:] = True
        kept = int(acting.sum())
        found[module] = {A: part[A][acting], B: up[:, acting], "alpha": alpha * (kept / number)}
        if "dora_scale" in part:
            found[module]["dora_scale"] = part["dora_scale"][start * hidden : end * hidden]
    return found


def _of_rank(whole: int, part: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """With ranks that do nothing yet where there are fewer; A of those is drawn, so that they can learn."""
    if A not in part or B not in part or len(part[A]) >= whole or "lora_A_init.weight" in part:
        return dict(part)
    (number, columns), rows = part[A].shape, len(part[B])
    dice = torch.Generator().manual_seed(number)
    more = (torch.rand(whole - number, columns, generator=dice) * 2 - 1) / columns**0.5
    alpha = part.get("alpha", torch.tensor(float(number)))
    return {
        **part,
        A: torch.cat([part[A], more]),
        B: torch.cat([part[B], torch.zeros(rows, whole - number)], dim=1),
        "alpha": alpha * (whole / number),
    }

"""LoRA files of other programs as a checkpoint holds them: a layer each, with an alpha, all of one rank."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from tuner.errors import Advice, CheckpointMismatch
from tuner.export import names
from tuner.export.dialects import A, B, Place, places, rank

_Parts = dict[str, dict[str, Tensor]]


def as_ours(tensors: Mapping[str, Tensor], file: Path) -> dict[str, Tensor]:
    """The same effect in the names of a checkpoint; what text encoders learned is left out. Files of
    FluxTuner stay as they are. Raises CheckpointMismatch where a key leads nowhere.
    """
    found = places(tensors, file)
    groups: dict[tuple[tuple[str, ...], bool], dict[str, Tensor]] = {}
    others: dict[str, Tensor] = {}
    for key, one in found.items():
        if key.startswith("lycoris_"):
            others[key] = tensors[key]
        elif one.suffix in (A, B, "alpha") or one.suffix.startswith("lora_"):
            groups.setdefault((one.modules, one.native), {})[one.suffix] = tensors[key].float()
        else:
            others[f"{names.lycoris_stem(_alone(one, key, file))}.{one.suffix}"] = tensors[key]
    whole = rank({key: tuple(tensor.shape) for key, tensor in tensors.items()}, file)
    parts: _Parts = {}
    for (modules, native), part in groups.items():
        parts |= _parts(modules, part) if native else {modules[0]: part}
    return others | {
        f"{names.stem(module)}.{suffix}": tensor
        for module, part in parts.items()
        for suffix, tensor in _of_rank(whole, part).items()
    }


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
        return {
            modules[0]: {**part, **({B: names.in_native_order(modules[0], part[B])} if B in part else {})}
        }
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

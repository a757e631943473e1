"""The algorithms that are no LoRA, one row each, and how ComfyUI is told what they trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tuner.export import names, rotation
from tuner.export.dora import dora_scale, ia3, scaled
from tuner.export.source import Base, Tensors

_Write = Callable[[str, Tensors, Base], dict[str, Tensor]]


@dataclass(frozen=True)
class Kind:
    """The suffixes of an algorithm, and only of it, begin with `mark`.

    `write` makes what ComfyUI reads of a module. `turn` says what becomes of a layer's outputs, and so, where
    LyCORIS worked on these, of its bias; None where the bias stays.
    """

    title: str
    mark: str
    write: _Write
    turn: Callable[[Tensors, Tensor], Tensor] | None = None


def kind(part: Tensors) -> Kind:
    """Of one module that is no LoRA."""
    return next(row for row in KINDS if any(suffix.startswith(row.mark) for suffix in part))


def _as_it_is(module: str, part: Tensors) -> dict[str, Tensor]:
    """Under LyCORIS' own names."""
    return {f"{names.lycoris_stem(module)}.{suffix}": tensor for suffix, tensor in part.items()}


def _with_dora(delta: Callable[[Tensors], Tensor]) -> _Write:
    """As it is, but for DoRA's norms; `delta` is the change of the weight (out, in) that goes with them."""

    def write(module: str, part: Tensors, base: Base) -> dict[str, Tensor]:
        if "dora_scale" not in part:
            return _as_it_is(module, part)
        return _as_it_is(
            module, {**part, "dora_scale": dora_scale(module, delta(part), part["dora_scale"], base)}
        )

    return write


def _loha(part: Tensors) -> Tensor:
    first, second = (part[f"hada_w{n}_a"] @ part[f"hada_w{n}_b"] for n in (1, 2))
    return first * second * (part["alpha"] / part["hada_w1_b"].shape[0])


def _lokr(part: Tensors) -> Tensor:
    """With both factors whole, LyCORIS trains at scale 1, whatever alpha is; ComfyUI reads it so too."""
    halves = [
        part[f"lokr_w{n}"] if f"lokr_w{n}" in part else part[f"lokr_w{n}_a"] @ part[f"lokr_w{n}_b"]
        for n in (1, 2)
    ]
    ranks = [part[f"lokr_w{n}_b"].shape[0] for n in (1, 2) if f"lokr_w{n}_b" in part]
    return torch.kron(*halves) * (part["alpha"] / ranks[-1] if ranks else 1.0)


def _glora(module: str, part: Tensors, base: Base) -> dict[str, Tensor]:
    """W a1 a2 + b1 b2: where ComfyUI turns rows, it would turn those of the first half twice."""
    if not names.native_of(module).halves_swapped:
        return _as_it_is(module, part)
    turned = {**part, "b1.weight": names.in_native_order(module, part["b1.weight"])}
    return {f"{names.native_stem(module)}.{suffix}": tensor for suffix, tensor in turned.items()}


def _full(module: str, part: Tensors, base: Base) -> dict[str, Tensor]:
    """The difference itself; by BFL's name where rows change places, because forge does not move them."""
    swapped = names.native_of(module).halves_swapped
    stem = names.native_stem(module) if swapped else names.stem(module)
    return {f"{stem}.diff": names.in_native_order(module, part["diff"])}


KINDS: tuple[Kind, ...] = (
    Kind("LoHa", "hada_", _with_dora(_loha)),
    Kind("LoKr", "lokr_", _with_dora(_lokr)),
    Kind("GLoRA", "a1.", _glora),
    Kind("OFT", "oft_", lambda module, part, base: rotation.for_comfyui(module, part), rotation.turned),
    Kind("IA3", "on_input", ia3, scaled),
    Kind("full weights", "diff", _full),
)

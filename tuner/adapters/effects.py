"""What each algorithm of LyCORIS adds to a layer's output, by its definition: pure functions of its tensors.

`alpha` over the rank scales; in the rotations it is the limit of their angle instead. Names of the tensors as
in `lycoris_catalog`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from tuner.adapters.lycoris_catalog import Options


class Place(NamedTuple):
    """Where an effect is asked for: `output` (..., out) is what `linear` makes of `inputs` (..., in)."""

    linear: nn.Linear
    inputs: Tensor
    output: Tensor
    training: bool

    def product(self) -> Tensor:
        """W x, the output without its bias."""
        return self.output if self.linear.bias is None else self.output - self.linear.bias

    def through(self, inputs: Tensor) -> Tensor:
        """W applied to other inputs; to add the bias and take it off again would round."""
        unbiased = copy.copy(self.linear)
        unbiased._parameters = {**self.linear._parameters, "bias": None}
        result: Tensor = unbiased.forward(inputs)
        return result


Trained = Mapping[str, Tensor]
Change = Callable[[Trained, Options, float, Place], Tensor]


def _lora(parts: Trained, options: Options, alpha: float, place: Place) -> Tensor:
    middle = F.linear(place.inputs, parts["lora_down.weight"])
    if place.training and options.rank_dropout:
        middle = middle * _kept(options.dim, options.rank_dropout, middle)
    return F.linear(middle, parts["lora_up.weight"]) * (alpha / options.dim)


def _lora_weight(parts: Trained, options: Options, alpha: float) -> Tensor:
    return parts["lora_up.weight"] @ parts["lora_down.weight"] * (alpha / options.dim)


def _loha(parts: Trained, options: Options, alpha: float, place: Place) -> Tensor:
    return _rows_dropped(F.linear(place.inputs, _loha_weight(parts, options, alpha)), options, place)


def _loha_weight(parts: Trained, options: Options, alpha: float) -> Tensor:
    first = parts["hada_w1_a"] @ parts["hada_w1_b"]
    return first * (parts["hada_w2_a"] @ parts["hada_w2_b"]) * (alpha / options.dim)


def _lokr(parts: Trained, options: Options, alpha: float, place: Place) -> Tensor:
    """(W1 x W2) x without the large product: x as a (W1's columns, W2's columns) table, one factor a side."""
    small, large = _factor(parts, "lokr_w1"), _factor(parts, "lokr_w2")
    table = place.inputs.unflatten(-1, (small.shape[1], large.shape[1]))
    made = F.linear(F.linear(table, large).mT, small).mT.flatten(-2)
    return _rows_dropped(made * _lokr_scale(parts, options, alpha), options, place)


def _lokr_weight(parts: Trained, options: Options, alpha: float) -> Tensor:
    product = torch.kron(_factor(parts, "lokr_w1"), _factor(parts, "lokr_w2"))
    return product * _lokr_scale(parts, options, alpha)


def _factor(parts: Trained, name: str) -> Tensor:
    return parts[name] if name in parts else parts[f"{name}_a"] @ parts[f"{name}_b"]


def _lokr_scale(parts: Trained, options: Options, alpha: float) -> float:
    """1 where both factors are whole, for then there is no rank."""
    return 1.0 if "lokr_w1" in parts and "lokr_w2" in parts else alpha / options.dim


def _glora(parts: Trained, options: Options, alpha: float, place: Place) -> Tensor:
    """W A x + B x: one LoRA before the frozen layer and one beside it."""
    before = F.linear(F.linear(place.inputs, parts["a2.weight"]), parts["a1.weight"])
    beside = F.linear(F.linear(place.inputs, parts["b2.weight"]), parts["b1.weight"])
    return (place.through(before) + beside) * (alpha / options.dim)


def _dylora(parts: Trained, options: Options, alpha: float, place: Place) -> Tensor:
    """In training the ranks up to a random block, of which only that block learns; else all of them.

    The scale is alpha over the ranks at work, so that all of them together act as a LoRA of the file does.
    """
    size, last = options.block_size, options.dim
    if place.training:
        last = size * int(torch.randint(1, options.dim // size + 1, ()))
    first = last - size if place.training else 0
    down, up = parts["lora_down.weight"], parts["lora_up.weight"]
    down = torch.cat([down[:first].detach(), down[first:last]])
    up = torch.cat([up[:, :first].detach(), up[:, first:last]], dim=1)
    return F.linear(F.linear(place.inputs, down), up) * (alpha / last)


def _ia3(parts: Trained, options: Options, _: float, place: Place) -> Tensor:
    factor = parts["weight"]
    if options.train_on_input:
        return place.through(place.inputs * factor)
    return _turned_of(place, options) * factor


def _full(parts: Trained, options: Options, _: float, place: Place) -> Tensor:
    change = F.linear(place.inputs, parts["diff"], parts.get("diff_b"))
    return _rows_dropped(change, options, place)


def _diag_oft(parts: Trained, options: Options, limit: float, place: Place) -> Tensor:
    """(R - 1) W x, R a rotation for each block of outputs."""
    product = _turned_of(place, options)
    turn = _rotations(parts["oft_blocks"], limit * product.shape[-1])
    turn = turn - torch.eye(turn.shape[-1], device=turn.device)
    made = torch.einsum("knm,...kn->...km", turn, product.unflatten(-1, turn.shape[:2])).flatten(-2)
    return _rescaled(made, parts, product)


def _boft(parts: Trained, options: Options, limit: float, place: Place) -> Tensor:
    """The same in stages; each turns together outputs that stand twice as far apart as in the one before.

    In float32, since the effect is the small difference of two large numbers.
    """
    with torch.autocast(place.output.device.type, enabled=False):
        product = _turned_of(place, options).float()
        turns = _rotations(parts["oft_blocks"], limit * product.shape[-1])
        size, turned = turns.shape[-1], product
        for stage, turn in enumerate(turns):
            apart = 2**stage * size // 2
            paired = turned.unflatten(-1, (-1, 2, apart)).mT.flatten(-3).unflatten(-1, (-1, size))
            paired = torch.einsum("kij,...kj->...ki", turn, paired).flatten(-2)
            turned = paired.unflatten(-1, (-1, apart, 2)).mT.flatten(-3)
        return turned * parts["rescale"].T - product if "rescale" in parts else turned - product


def _rescaled(change: Tensor, parts: Trained, product: Tensor) -> Tensor:
    if "rescale" not in parts:
        return change
    factor = parts["rescale"].squeeze(1)
    return factor * change + (factor - 1) * product


def _rotations(blocks: Tensor, most: float) -> Tensor:
    """Cayley's rotation (1 + Q)(1 - Q)^-1 of Q = B - B^T, with |Q| at most `most` (0: no limit)."""
    with torch.autocast(blocks.device.type, enabled=False):
        skew = blocks - blocks.mT
        if most > 0:
            skew = skew * (most / (skew.norm() + 1e-8)).clamp(max=1)
        one = torch.eye(skew.shape[-1], device=skew.device)
        return torch.linalg.solve(one - skew, one + skew, left=False)


def _turned_of(place: Place, options: Options) -> Tensor:
    """What rotations and factors act on: W x, and with LyCORIS' `bypass_mode` the bias as well."""
    return place.output if options.bypass_mode else place.product()


def _rows_dropped(change: Tensor, options: Options, place: Place) -> Tensor:
    if not (place.training and options.rank_dropout):
        return change
    return change * _kept(change.shape[-1], options.rank_dropout, change)


def _kept(number: int, share: float, like: Tensor) -> Tensor:
    """1 for those that stay, 0 for the `share` that is left out."""
    return (torch.rand(number, device=like.device) > share).to(like.dtype)


CHANGES: dict[str, Change] = {
    "lora": _lora,
    "loha": _loha,
    "lokr": _lokr,
    "glora": _glora,
    "dylora": _dylora,
    "ia3": _ia3,
    "full": _full,
    "diag-oft": _diag_oft,
    "boft": _boft,
}
WEIGHTS: dict[str, Callable[[Trained, Options, float], Tensor]] = {
    "lora": _lora_weight,
    "loha": _loha_weight,
    "lokr": _lokr_weight,
}
"""The change of the weight itself (out, in), for those that DoRA goes with."""

"""DoRA and IA3 in ComfyUI's words: both become its `dora_scale`, a factor for each row or column."""

from __future__ import annotations

import torch
from torch import Tensor

from tuner.errors import Advice, TunerError
from tuner.export import names
from tuner.export.source import Base, Tensors


def dora_scale(module: str, delta: Tensor, magnitude: Tensor, base: Base) -> Tensor:
    """`magnitude` (out, 1) or (1, in) as ComfyUI wants it, same shape.

    In training the rows of W + delta get the norm m. ComfyUI divides by the norm of the rows of W instead, so
    it is given m * |W| / |W + delta|. Columns it divides by their norm in W + delta, as training does.
    """
    if magnitude.shape[0] == 1:
        return magnitude
    weight = parameter(f"{module}.weight", base)
    scale = magnitude * _row_norms(weight) / _row_norms(weight + delta)
    return names.in_native_order(module, scale)


def ia3(module: str, tensors: Tensors, base: Base) -> dict[str, Tensor]:
    """A LoRA of zeros with scaled norms, as ComfyUI has no IA3; `weight` (out,) or (in,) is a factor - 1."""
    weight, factors = parameter(f"{module}.weight", base), 1 + tensors["weight"]
    if tensors["on_input"]:
        scale = factors * weight.norm(dim=0, keepdim=True)
    else:
        scale = names.in_native_order(module, factors[:, None] * _row_norms(weight))
    stem = names.stem(module)
    return {
        f"{stem}.lora_A.weight": torch.zeros(1, weight.shape[1]),
        f"{stem}.lora_B.weight": torch.zeros(weight.shape[0], 1),
        f"{stem}.alpha": torch.tensor(1.0),
        f"{stem}.dora_scale": scale,
    }


def scaled(tensors: Tensors, bias: Tensor) -> Tensor:
    """The bias (out,) of a layer whose outputs an IA3 scaled; where it scaled inputs, the bias stays."""
    return bias if tensors["on_input"] else bias * (1 + tensors["weight"])


def parameter(name: str, base: Base) -> Tensor:
    """Of the untrained model, float32, on the CPU; TunerError where the model is out of reach."""
    found = base(name)
    if found is None:
        raise TunerError(
            "Without the weights of the base model, this adapter cannot be put into ComfyUI's words.",
            Advice("Export it on a computer that has the base model."),
        )
    return found.float().cpu()


def _row_norms(weight: Tensor) -> Tensor:
    return weight.norm(dim=1, keepdim=True)

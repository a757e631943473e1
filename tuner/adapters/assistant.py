"""A frozen LoRA that holds a distilled model together while another adapter is trained on it.

It sits on the outputs of layers, so it is the same over plain and quantized weights and under any adapter,
and no part of what is trained or saved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from tuner.errors import Advice, CheckpointMismatch

_KEY = re.compile(r"(?:transformer\.)?(.+)\.(?:(lora_A|lora_down)|(lora_B|lora_up))(?:\.default)?\.weight")


@dataclass(frozen=True)
class Strengths:
    """How strongly the assistant acts while the transformer trains, and while it draws."""

    training: float
    previews: float


class _Part:
    """The assistant's share in one layer: x @ down^T @ up^T, added behind the layer."""

    def __init__(self, down: Tensor, up: Tensor, strengths: Strengths) -> None:
        self._down, self._up, self._strengths = down, up, strengths

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        strength = self._strengths.training if layer.training else self._strengths.previews
        if strength == 0:
            return output
        return output + strength * F.linear(F.linear(inputs[0], self._down), self._up)


def attach(
    transformer: nn.Module,
    tensors: Mapping[str, Tensor],
    strengths: Strengths,
    device: torch.device,
    dtype: torch.dtype,
) -> int:
    """Puts a LoRA file in diffusers' names over the transformer; returns on how many layers it acts.

    Call it after the adapter is attached. `dtype` is what the transformer computes in. Raises
    CheckpointMismatch where the file is no LoRA of this transformer.
    """
    modules = dict(transformer.named_modules())
    parts = _parts(tensors)
    for path, (down, up) in parts.items():
        layer = modules.get(path)
        if layer is None or (layer.in_features, layer.out_features) != (down.shape[1], up.shape[0]):
            raise _no_lora(f"its '{path}' does not fit this transformer")
        layer.register_forward_hook(_Part(down.to(device, dtype), up.to(device, dtype), strengths))
    return len(parts)


def _parts(tensors: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """(down (r, in), up (out, r)) by module path, float32, with alpha / r inside `up`."""
    down: dict[str, Tensor] = {}
    up: dict[str, Tensor] = {}
    alphas = {
        key.removeprefix("transformer."): value for key, value in tensors.items() if key.endswith(".alpha")
    }
    for key, value in tensors.items():
        found = _KEY.fullmatch(key)
        if found:
            (down if found[2] else up)[found[1]] = value.float()
        elif not key.endswith(".alpha"):
            raise _no_lora(f"'{key}' in it is none of diffusers' names for one")
    if not down or down.keys() != up.keys():
        raise _no_lora("it does not hold two matrices for each layer")
    rank = {path: len(matrix) for path, matrix in down.items()}
    alpha = {path: float(alphas.get(f"{path}.alpha", rank[path])) for path in down}
    return {path: (down[path], up[path] * (alpha[path] / rank[path])) for path in down}


def _no_lora(why: str) -> CheckpointMismatch:
    return CheckpointMismatch(
        f"The assistant LoRA cannot be used: {why}.",
        Advice("Train without an assistant.", {"adapter.disable_assistant_lora": True}),
    )

"""The product of a quantized layer: stored in few bits, computed as a plain linear layer.

The weight is dequantized for each product and again for the gradient of its input. Nothing is kept between
the two: neither the input, which a frozen weight does not need, nor the dequantized copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

PIECE_WEIGHTS = 2**20
"""Weights are quantized in pieces of rows of about this many, so that the working copies stay small."""


class FrozenLinear:
    """Mixed into a library's linear layer, before it."""

    bias: Tensor | None

    def dequantized(self) -> Tensor:
        """The weight that the layer multiplies by, (out, in), in the format that it was quantized for."""
        raise NotImplementedError

    def stored(self) -> dict[str, Tensor]:
        """Everything that `restore` of its precision makes the same layer of, in plain tensors."""
        raise NotImplementedError

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., in) -> (..., out), in the format of `inputs`, or of autocast where that is on."""
        device = inputs.device.type
        if torch.is_autocast_enabled(device):
            inputs = inputs.to(torch.get_autocast_dtype(device))
        return _Product.apply(inputs, self)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, layer: FrozenLinear) -> Tensor:
        ctx.layer = layer
        bias = None if layer.bias is None else layer.bias.to(inputs.dtype)
        return nn.functional.linear(inputs, layer.dequantized().to(inputs.dtype), bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient @ ctx.layer.dequantized().to(gradient.dtype), None


def with_bias(layer: nn.Module, bias: Tensor | None, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The layer, frozen, with that bias on `device`."""
    if bias is not None:
        layer.bias = nn.Parameter(bias.to(device, dtype), requires_grad=False)
    return layer.requires_grad_(False)


def bias_of(layer: FrozenLinear) -> dict[str, Tensor]:
    """The bias as `stored` gives it."""
    return {} if layer.bias is None else {"bias": layer.bias.detach()}


def dequantized(layer: nn.Module) -> Tensor:
    """The effective weight (out, in) of a linear layer in any precision, in float32."""
    weight = layer.dequantized() if isinstance(layer, FrozenLinear) else layer.weight
    return weight.detach().float()


def pieces(weight: Tensor) -> Iterator[Tensor]:
    """Groups of whole rows in float32; multiples of 64 rows, so that no block of NF4 is cut."""
    rows = max(64, PIECE_WEIGHTS // weight.shape[1] // 64 * 64)
    for piece in weight.split(rows):
        yield piece.float()

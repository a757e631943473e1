"""optimum-quanto's formats: integers of 8, 4 and 2 bits, and floats of 8, with a scale a row or a group."""

from __future__ import annotations

import torch
from optimum.quanto import QLinear, WeightQBitsTensor, WeightQBytesTensor, qtypes
from torch import Tensor

from tuner.quantization.frozen import FrozenLinear, pieces


class QuantoLinear(FrozenLinear, QLinear):
    """quanto's layer with its weight in quanto's plain format: none of its kernels is compiled or chosen."""

    def dequantized(self) -> Tensor:
        weight = self.weight
        if weight.qtype.bits == 8:
            return weight._scale * weight._data.to(weight._scale.dtype)
        codes = _unpacked(weight._data._data, weight.qtype.bits)[: len(weight._scale)]
        return (weight._scale * codes - weight._shift).view(self.out_features, self.in_features)


def quantize(
    weight: Tensor, bias: Tensor | None, kind: str, device: torch.device, dtype: torch.dtype
) -> QuantoLinear:
    """A layer on `device` of a weight (out, in); `kind` is a name of quanto's, such as qint8.

    Scales are those of quanto; the codes are rounded in float32, where quanto rounds in the weight's format.
    """
    num_out, num_in = weight.shape
    layer = QuantoLinear(num_in, num_out, bias is not None, dtype=dtype, device="meta", weights=qtypes[kind])
    quantized = _bytes if layer.weight_qtype.bits == 8 else _bits
    layer.weight = torch.nn.Parameter(quantized(weight, layer, device, dtype), requires_grad=False)
    if bias is not None:
        layer.bias = torch.nn.Parameter(bias.to(device, dtype), requires_grad=False)
    for name in ("input_scale", "output_scale"):  # quanto's, for activations, which stay as they are
        setattr(layer, name, torch.ones((), dtype=dtype, device=device))
    return layer.requires_grad_(False)


def _bytes(
    weight: Tensor, layer: QuantoLinear, device: torch.device, dtype: torch.dtype
) -> WeightQBytesTensor:
    """A scale a row: the row's largest weight becomes the largest code."""
    kind, codes, scales = layer.weight_qtype, [], []
    for rows in pieces(weight):
        scale = _without_zero(layer.optimizer(rows, qtype=kind, axis=0).to(dtype))
        ratio = rows / scale
        ratio = ratio if kind.is_floating_point else ratio.round_()
        codes.append(ratio.clamp_(kind.qmin, kind.qmax).to(kind.dtype))
        scales.append(scale)
    data, scale = torch.cat(codes).to(device), torch.cat(scales).to(device)
    return WeightQBytesTensor(kind, 0, weight.shape, weight.stride(), data, scale, None)


def _bits(weight: Tensor, layer: QuantoLinear, device: torch.device, dtype: torch.dtype) -> WeightQBitsTensor:
    """A scale and a shift for each group of weights of a row: the codes 0..2^bits - 1 span the group."""
    kind, group = layer.weight_qtype, layer.weight_group_size
    codes, scales, shifts = [], [], []
    for rows in pieces(weight):
        grouped = rows.view(-1, group or rows.shape[1])
        scale, shift = layer.optimizer(grouped, qtype=kind, axis=0)
        scale, shift = _without_zero(scale.to(dtype)), shift.to(dtype)
        codes.append(((grouped + shift) / scale).round_().clamp_(0, 2**kind.bits - 1).to(torch.uint8))
        scales.append(scale)
        shifts.append(shift)
    data, scale, shift = (torch.cat(parts).to(device) for parts in (codes, scales, shifts))
    return WeightQBitsTensor(kind, 0, group, weight.shape, weight.stride(), data, scale, shift)


def _unpacked(packed: Tensor, bits: int) -> Tensor:
    """The codes of quanto's bytes: the first share of the rows in the lowest bits, and so on upwards. In
    plain torch, since quanto compiles its own kernel for this.
    """
    return torch.cat([packed >> shift & (2**bits - 1) for shift in range(0, 8, bits)])


def _without_zero(scale: Tensor) -> Tensor:
    """A row of equal weights has no span to divide by."""
    return torch.where(scale == 0, torch.ones_like(scale), scale)

"""optimum-quanto's formats: integers of 8, 4 and 2 bits, and floats of 8, with a scale a row or a group."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from optimum.quanto import QLinear, WeightQBitsTensor, WeightQBytesTensor, qtypes
from optimum.quanto.tensor.packed import PackedTensor
from torch import Tensor

from tuner.quantization.frozen import FrozenLinear, bias_of, pieces, with_bias


class QuantoLinear(FrozenLinear, QLinear):
    """quanto's layer with its weight in quanto's plain format: none of its kernels is compiled or chosen."""

    def dequantized(self) -> Tensor:
        weight = self.weight
        if weight.qtype.bits == 8:
            return weight._data.to(weight.dtype, copy=True).mul_(weight._scale)
        codes = _unpacked(weight._data._data, weight.qtype.bits)[: len(weight._scale)]
        values = codes.to(weight.dtype).mul_(weight._scale).sub_(weight._shift)
        return values.view(self.out_features, self.in_features)

    def stored(self) -> dict[str, Tensor]:
        weight = self.weight
        if weight.qtype.bits == 8:
            return {"codes": weight._data.view(torch.uint8), "scale": weight._scale, **bias_of(self)}
        return {
            "codes": weight._data._data,
            "scale": weight._scale,
            "shift": weight._shift,
            "shape": torch.tensor(weight.shape),
            **bias_of(self),
        }


def quantize(
    weight: Tensor, bias: Tensor | None, kind: str, device: torch.device, dtype: torch.dtype
) -> QuantoLinear:
    """A layer on `device` of a weight (out, in); `kind` is a name of quanto's, such as qint8.

    Scales are those of quanto; the codes are rounded in float32, where quanto rounds in the weight's format.
    """
    layer = _empty(weight.shape, bias, kind, device, dtype)
    quantized = _bytes if layer.weight_qtype.bits == 8 else _bits
    layer.weight = torch.nn.Parameter(quantized(weight, layer, device, dtype), requires_grad=False)
    return with_bias(layer, bias, device, dtype)


def restore(
    tensors: Mapping[str, Tensor], kind: str, device: torch.device, dtype: torch.dtype
) -> QuantoLinear:
    """The layer whose `stored` these are, on `device`."""
    codes, bias, bits = tensors["codes"], tensors.get("bias"), qtypes[kind].bits
    shape = codes.shape if bits == 8 else torch.Size(tensors["shape"].tolist())
    layer = _empty(shape, bias, kind, device, dtype)
    kept, stride, scale = layer.weight_qtype, (shape[1], 1), tensors["scale"].to(device)
    if bits == 8:
        data = codes.view(kept.dtype).to(device)
        weight = WeightQBytesTensor(kept, 0, shape, stride, data, scale, None)
    else:
        rows = torch.Size((len(scale), codes.shape[1]))
        packed = PackedTensor(codes.to(device), bits, rows, (codes.shape[1], 1))
        shift, group = tensors["shift"].to(device), layer.weight_group_size
        weight = WeightQBitsTensor(kept, 0, group, shape, stride, packed, scale, shift)
    layer.weight = torch.nn.Parameter(weight, requires_grad=False)
    return with_bias(layer, bias, device, dtype)


def _empty(
    shape: torch.Size, bias: Tensor | None, kind: str, device: torch.device, dtype: torch.dtype
) -> QuantoLinear:
    """A layer without its weight."""
    num_out, num_in = shape
    layer = QuantoLinear(num_in, num_out, bias is not None, dtype=dtype, device="meta", weights=qtypes[kind])
    for name in ("input_scale", "output_scale"):  # quanto's, for activations, which stay as they are
        setattr(layer, name, torch.ones((), dtype=dtype, device=device))
    return layer


def _bytes(
    weight: Tensor, layer: QuantoLinear, device: torch.device, dtype: torch.dtype
) -> WeightQBytesTensor:
    """A scale a row: the row's largest weight becomes the largest code."""
    kind, scales, start = layer.weight_qtype, [], 0
    codes = torch.empty(weight.shape, dtype=layer.weight_qtype.dtype, device=weight.device)
    for rows in pieces(weight):
        scale = _without_zero(layer.optimizer(rows, qtype=kind, axis=0).to(dtype))
        ratio = rows / scale
        ratio = ratio if kind.is_floating_point else ratio.round_()
        codes[start : start + len(rows)] = ratio.clamp_(kind.qmin, kind.qmax)
        start += len(rows)
        scales.append(scale)
    scale = torch.cat(scales).to(device)
    return WeightQBytesTensor(kind, 0, weight.shape, weight.stride(), codes.to(device), scale, None)


def _bits(weight: Tensor, layer: QuantoLinear, device: torch.device, dtype: torch.dtype) -> WeightQBitsTensor:
    """A scale and a shift for each group of weights of a row: the codes 0..2^bits - 1 span the group."""
    kind, group = layer.weight_qtype, layer.weight_group_size
    scales, shifts, start = [], [], 0
    codes = torch.empty(weight.shape, dtype=torch.uint8, device=weight.device).view(
        -1, group or weight.shape[1]
    )
    for rows in pieces(weight):
        grouped = rows.view(-1, codes.shape[1])
        scale, shift = layer.optimizer(grouped, qtype=kind, axis=0)
        scale, shift = _without_zero(scale.to(dtype)), shift.to(dtype)
        whole = ((grouped + shift) / scale).round_().clamp_(0, 2**kind.bits - 1)
        codes[start : start + len(grouped)] = whole
        start += len(grouped)
        scales.append(scale)
        shifts.append(shift)
    scale, shift = (torch.cat(parts).to(device) for parts in (scales, shifts))
    return WeightQBitsTensor(kind, 0, group, weight.shape, weight.stride(), codes.to(device), scale, shift)


def _unpacked(packed: Tensor, bits: int) -> Tensor:
    """The codes of quanto's bytes: the first share of the rows in the lowest bits, and so on upwards. In
    plain torch, since quanto compiles its own kernel for this.
    """
    return torch.cat([packed >> shift & (2**bits - 1) for shift in range(0, 8, bits)])


def _without_zero(scale: Tensor) -> Tensor:
    """A row of equal weights has no span to divide by."""
    return torch.where(scale == 0, torch.ones_like(scale), scale)

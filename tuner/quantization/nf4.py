"""NF4 of bitsandbytes: blocks of 64 weights share a scale, and the scales are quantized as well."""

from __future__ import annotations

import torch
from bitsandbytes import functional
from bitsandbytes.nn import Linear4bit, Params4bit
from torch import Tensor

from tuner.quantization.frozen import FrozenLinear, pieces

_BLOCK, _SCALE_BLOCK = 64, 256


class Nf4Linear(FrozenLinear, Linear4bit):
    """bitsandbytes' layer without its forward pass, which on some CPUs repacks the weight during previews in
    a way that the next backward pass does not understand.
    """

    def dequantized(self) -> Tensor:
        return functional.dequantize_4bit(self.weight.data, self.weight.quant_state)


def quantize(weight: Tensor, bias: Tensor | None, device: torch.device, dtype: torch.dtype) -> Nf4Linear:
    """A layer on `device` of a weight (out, in), bit for bit as bitsandbytes quantizes it whole.

    The packed weight calls itself `dtype`, since T5 asks its layers for the format they compute in.
    """
    num_out, num_in = weight.shape
    layer = Nf4Linear(
        num_in, num_out, bias is not None, compute_dtype=dtype, quant_type="nf4", quant_storage=dtype,
        device="meta",
    )  # fmt: skip
    packed, scales = zip(*(_packed(piece.to(dtype), dtype) for piece in pieces(weight)), strict=True)
    state = _with_quantized_scales(torch.cat(scales), weight.shape, dtype)
    state.to(device)
    layer.weight = Params4bit(
        torch.cat(packed).to(device),
        quant_state=state,
        quant_type="nf4",
        quant_storage=dtype,
        module=layer,
        bnb_quantized=True,
    )
    layer.quant_state = state
    if bias is not None:
        layer.bias = torch.nn.Parameter(bias.to(device, dtype), requires_grad=False)
    return layer.requires_grad_(False)


def _packed(piece: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    codes, state = functional.quantize_4bit(piece, blocksize=_BLOCK, quant_type="nf4", quant_storage=dtype)
    return codes, state.absmax


def _with_quantized_scales(scales: Tensor, shape: torch.Size, dtype: torch.dtype) -> functional.QuantState:
    offset = scales.mean()
    codes, inner = functional.quantize_blockwise(scales - offset, blocksize=_SCALE_BLOCK)
    return functional.QuantState(
        absmax=codes,
        shape=shape,
        dtype=dtype,
        blocksize=_BLOCK,
        code=functional.get_4bit_type("nf4", device=scales.device),
        quant_type="nf4",
        offset=offset,
        state2=inner,
    )

"""NF4 of bitsandbytes: blocks of 64 weights share a scale, and the scales are quantized as well."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from bitsandbytes import functional
from bitsandbytes.nn import Linear4bit, Params4bit
from torch import Tensor

from tuner.quantization.frozen import FrozenLinear, bias_of, pieces, with_bias

_BLOCK, _SCALE_BLOCK = 64, 256


class Nf4Linear(FrozenLinear, Linear4bit):
    """bitsandbytes' layer without its forward pass, which on some CPUs repacks the weight during previews in
    a way that the next backward pass does not understand.
    """

    def dequantized(self) -> Tensor:
        return functional.dequantize_4bit(self.weight.data, self.weight.quant_state)

    def stored(self) -> dict[str, Tensor]:
        state = self.weight.quant_state
        return {
            "codes": self.weight.data.view(torch.uint8),
            "table": state.code,
            "scale_codes": state.absmax,
            "scale_table": state.state2.code,
            "scales": state.state2.absmax,
            "offset": state.offset,
            "shape": torch.tensor(state.shape),
            **bias_of(self),
        }


def quantize(weight: Tensor, bias: Tensor | None, device: torch.device, dtype: torch.dtype) -> Nf4Linear:
    """A layer on `device` of a weight (out, in), bit for bit as bitsandbytes quantizes it whole.

    The packed weight calls itself `dtype`, since T5 asks its layers for the format they compute in.
    """
    # Both whole from the start: pieces that stay, among others that go, would leave holes in the memory.
    packed = torch.empty(-(-weight.numel() // 2), dtype=torch.uint8, device=weight.device)
    scales = torch.empty(-(-weight.numel() // _BLOCK), dtype=torch.float32, device=weight.device)
    start = 0
    for piece in pieces(weight):
        codes, absmax = _packed(piece.to(dtype))
        packed[start // 2 : start // 2 + len(codes)] = codes
        scales[start // _BLOCK : start // _BLOCK + len(absmax)] = absmax
        start += piece.numel()
    state = _with_quantized_scales(scales, weight.shape, dtype)
    return _layer(packed.view(dtype)[:, None], state, bias, device)


def restore(tensors: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype) -> Nf4Linear:
    """The layer whose `stored` these are, on `device`."""
    state = functional.QuantState(
        absmax=tensors["scale_codes"],
        shape=torch.Size(tensors["shape"].tolist()),
        dtype=dtype,
        blocksize=_BLOCK,
        code=tensors["table"],
        quant_type="nf4",
        offset=tensors["offset"],
        state2=functional.QuantState(
            absmax=tensors["scales"],
            code=tensors["scale_table"],
            blocksize=_SCALE_BLOCK,
            dtype=torch.float32,
        ),
    )
    return _layer(tensors["codes"].view(dtype), state, tensors.get("bias"), device)


def _layer(
    packed: Tensor, state: functional.QuantState, bias: Tensor | None, device: torch.device
) -> Nf4Linear:
    num_out, num_in = state.shape
    dtype = state.dtype
    layer = Nf4Linear(
        num_in, num_out, bias is not None, compute_dtype=dtype, quant_type="nf4", quant_storage=dtype,
        device="meta",
    )  # fmt: skip
    state.to(device)
    layer.weight = Params4bit(
        packed.to(device),
        quant_state=state,
        quant_type="nf4",
        quant_storage=dtype,
        module=layer,
        bnb_quantized=True,
    )
    layer.quant_state = state
    return with_bias(layer, bias, device, dtype)


def _packed(piece: Tensor) -> tuple[Tensor, Tensor]:
    """(two codes a byte, a scale a block)"""
    codes, state = functional.quantize_4bit(piece, blocksize=_BLOCK, quant_type="nf4")
    return codes.flatten(), state.absmax


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

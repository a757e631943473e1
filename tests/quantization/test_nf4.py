"""bitsandbytes' own layer as the reference for NF4, bit for bit."""

import pytest
import torch
from bitsandbytes import functional
from bitsandbytes.nn import Linear4bit

from tuner.quantization import nf4
from tuner.quantization.frozen import dequantized

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("rows_at_once", [64, 4096])
def test_it_is_what_bitsandbytes_makes_of_the_whole(
    dtype: torch.dtype, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuner.quantization.frozen.PIECE_WEIGHTS", rows_at_once * 192)
    weight = (torch.randn(256, 192, generator=torch.Generator().manual_seed(5)) * 0.02).to(dtype)
    layer = nf4.quantize(weight, None, CPU, dtype)
    packed, state = functional.quantize_4bit(
        weight, blocksize=64, compress_statistics=True, quant_type="nf4", quant_storage=dtype
    )
    assert torch.equal(layer.weight.data.view(torch.uint8), packed.view(torch.uint8))
    assert torch.equal(layer.weight.quant_state.absmax, state.absmax)
    assert torch.equal(dequantized(layer), functional.dequantize_4bit(packed, state).float())


def test_the_layer_is_one_of_bitsandbytes_and_says_in_what_it_computes() -> None:
    layer = nf4.quantize(torch.randn(64, 64), torch.zeros(64), CPU, torch.bfloat16)
    assert isinstance(layer, Linear4bit)
    assert layer.weight.dtype == layer.compute_dtype == torch.bfloat16

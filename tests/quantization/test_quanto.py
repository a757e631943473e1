"""quanto's own layers as the reference: the same format, and never farther from the weight."""

import pytest
import torch
from optimum.quanto import QLinear, freeze, qtypes, quantize
from torch import nn

from tuner.quantization import quanto
from tuner.quantization.frozen import dequantized

KINDS = ("qint8", "qint4", "qint2", "qfloat8_e4m3fn", "qfloat8_e4m3fnuz")


@pytest.fixture
def weight() -> torch.Tensor:
    return torch.randn(160, 256, generator=torch.Generator().manual_seed(4)) * 0.05


def theirs(weight: torch.Tensor, kind: str) -> torch.Tensor:
    """What quanto itself makes of the weight, in float32, where its rounding is as fine as ours."""
    model = nn.Sequential(nn.Linear(weight.shape[1], weight.shape[0], bias=False))
    model[0].weight.data = weight.clone()
    quantize(model, weights=qtypes[kind])
    freeze(model)
    frozen = model[0].weight
    if frozen.qtype.bits == 8:
        return frozen.dequantize().detach()
    codes = frozen._data._data
    return decoded(codes, frozen.qtype.bits, frozen._scale, frozen._shift).view(weight.shape)


def decoded(codes: torch.Tensor, bits: int, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """quanto packs the k-th share of the rows into the k-th bits of each byte."""
    rows = [
        [(int(byte) >> start) & (2**bits - 1) for byte in row]
        for start in range(0, 8, bits)
        for row in codes.tolist()
    ]
    return scale * torch.tensor(rows, dtype=torch.float32) - shift


@pytest.mark.parametrize("kind", KINDS)
def test_the_format_is_quantos(kind: str, weight: torch.Tensor) -> None:
    layer = quanto.quantize(weight, None, kind, torch.device("cpu"), torch.float32)
    assert isinstance(layer, QLinear) and layer.frozen and layer.weight_qtype == qtypes[kind]
    torch.testing.assert_close(dequantized(layer), theirs(weight, kind), rtol=1e-6, atol=1e-7)


def test_codes_are_rounded_more_finely_than_quanto_does_in_bf16(weight: torch.Tensor) -> None:
    model = nn.Sequential(nn.Linear(256, 160, bias=False, dtype=torch.bfloat16))
    model[0].weight.data = weight.bfloat16()
    quantize(model, weights=qtypes["qint8"])
    freeze(model)
    layer = quanto.quantize(weight.bfloat16(), None, "qint8", torch.device("cpu"), torch.bfloat16)
    ours, theirs = (
        (one.float() - weight.bfloat16().float()).norm()
        for one in (dequantized(layer), model[0].weight.dequantize().detach())
    )
    assert ours < theirs

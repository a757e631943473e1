"""Each precision that works: how far it is from the plain weight, what it stores, and that gradients pass."""

import pytest
import torch
from torch import nn

from tuner.quantization import catalog
from tuner.quantization.frozen import dequantized

CPU = torch.device("cpu")
QUANTIZED = [row for row in catalog.PRECISIONS if row.quantize]
ERROR = {  # relative, root mean square, of normal weights
    "int8-quanto": 0.01,
    "int4-quanto": 0.11,
    "int2-quanto": 0.55,
    "fp8-quanto": 0.03,
    "fp8uz-quanto": 0.03,
    "nf4-bnb": 0.10,
}
by_name = pytest.mark.parametrize("row", QUANTIZED, ids=lambda row: row.name)


@pytest.fixture
def weight() -> torch.Tensor:
    return torch.randn(384, 256, generator=torch.Generator().manual_seed(1)) * 0.03


def plain_layer(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
    layer.weight.data = weight
    if bias is not None:
        layer.bias.data = bias
    return layer


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours.float() - theirs.float()).norm() / theirs.float().norm())


def test_every_row_either_works_or_says_why_and_what_else() -> None:
    for row in catalog.PRECISIONS:
        assert bool(row.why) == bool(row.instead)
        assert not row.why or (row.quantize is None and catalog.precision(row.instead).why == "")
    assert set(catalog.working()) == {"no_change", *ERROR}


@by_name
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_the_round_trip(row: catalog.Precision, dtype: torch.dtype, weight: torch.Tensor) -> None:
    layer = row.quantize(weight, None, CPU, dtype)
    assert relative_error(dequantized(layer), weight) < ERROR[row.name]
    assert dequantized(layer).dtype == torch.float32
    assert isinstance(layer, nn.Linear)
    assert (layer.in_features, layer.out_features, layer.bias) == (256, 384, None)
    assert not any(one.requires_grad for one in layer.parameters())


@by_name
def test_forward_and_backward_are_those_of_the_dequantized_weight(
    row: catalog.Precision, weight: torch.Tensor
) -> None:
    bias = torch.linspace(-1, 1, 384)
    layer = row.quantize(weight, bias, CPU, torch.float32)
    plain = plain_layer(dequantized(layer), bias)
    given = torch.randn(2, 5, 256, generator=torch.Generator().manual_seed(2))
    ours, theirs = given.clone().requires_grad_(), given.clone().requires_grad_()
    made, expected = layer(ours), plain(theirs)
    torch.testing.assert_close(made, expected)
    made.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


@by_name
def test_autocast_computes_in_its_own_format(row: catalog.Precision, weight: torch.Tensor) -> None:
    layer = row.quantize(weight, None, CPU, torch.bfloat16)
    given = torch.randn(3, 256, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        made = layer(given)
    made.float().sum().backward()
    assert (made.dtype, given.grad.dtype) == (torch.bfloat16, torch.float32)
    assert layer(given).dtype == torch.float32


@by_name
def test_a_preview_does_not_break_the_training(row: catalog.Precision, weight: torch.Tensor) -> None:
    layer = row.quantize(weight, None, CPU, torch.bfloat16)
    given = torch.randn(3, 256, dtype=torch.bfloat16)
    before = layer(given)
    layer.eval()
    with torch.no_grad():
        drawn = layer(given)
    layer.train()
    again = given.clone().requires_grad_()
    layer(again).sum().backward()
    assert torch.equal(before, drawn) and again.grad.any()


@by_name
def test_nothing_is_kept_between_forward_and_backward(row: catalog.Precision, weight: torch.Tensor) -> None:
    layer = row.quantize(weight, None, CPU, torch.bfloat16)
    kept: list[torch.Tensor] = []
    given = torch.randn(3, 256, dtype=torch.bfloat16, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda one: kept.append(one) or one, lambda one: one):
        layer(given).sum()
    assert [one for one in kept if one.numel() > 1] == []


@by_name
def test_the_bytes_of_the_catalog_are_those_that_are_stored(row: catalog.Precision) -> None:
    shape = (1024, 3072)
    layer = row.quantize(torch.randn(shape), None, CPU, torch.bfloat16)
    assert stored_bytes(layer) / (shape[0] * shape[1]) == pytest.approx(row.bytes_per_weight, rel=0.005)


@by_name
def test_pieces_of_rows_give_what_the_whole_gives(
    row: catalog.Precision, weight: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = row.quantize(weight, None, CPU, torch.bfloat16)
    monkeypatch.setattr("tuner.quantization.frozen.PIECE_WEIGHTS", 64 * 256)
    assert torch.equal(dequantized(row.quantize(weight, None, CPU, torch.bfloat16)), dequantized(whole))


@by_name
def test_rows_without_any_difference_survive(row: catalog.Precision) -> None:
    weight = torch.zeros(64, 128)
    assert torch.equal(dequantized(row.quantize(weight, None, CPU, torch.bfloat16)), weight)


@by_name
@pytest.mark.parametrize("shape", [(64, 64), (96, 192), (64, 320)], ids=str)
def test_sizes_that_are_not_multiples_of_a_group(row: catalog.Precision, shape: tuple[int, int]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    assert relative_error(dequantized(row.quantize(weight, None, CPU, torch.bfloat16)), weight) < 0.6


def test_a_plain_layer_is_its_own_weight(weight: torch.Tensor) -> None:
    assert torch.equal(dequantized(plain_layer(weight, None)), weight)


def stored_bytes(layer: nn.Module) -> int:
    """Of the weight with everything that its decoding needs."""
    weight = layer.weight
    if hasattr(weight, "quant_state"):
        state = weight.quant_state
        parts = [weight.data, state.absmax, state.state2.absmax]
    else:
        codes = weight._data
        parts = [getattr(codes, "_data", codes), weight._scale]
        parts += [weight._shift] if hasattr(weight, "_shift") else []
    return sum(part.numel() * part.element_size() for part in parts)

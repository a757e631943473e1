"""Streamed blocks compute what resident ones compute, bit for bit, in training and without gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tests.flux.test_modulation import _inputs, _plain
from tuner.flux import streaming
from tuner.flux.objective import Conditions, predict_velocity
from tuner.flux.streaming import NUM_SLOTS, Streaming
from tuner.quantization import catalog

CPU = torch.device("cpu")


def _blocks(transformer: nn.Module, numbers: tuple[int, ...]) -> list[nn.Module]:
    blocks = [*transformer.transformer_blocks, *transformer.single_transformer_blocks]
    return [blocks[number] for number in numbers]


@pytest.mark.parametrize("numbers", [(0,), (1, 2, 3), (0, 1, 2, 3, 4, 5, 6), (0, 3, 6)])
def test_outputs_are_the_same_bits_pass_after_pass(numbers: tuple[int, ...]) -> None:
    plain = _plain()
    streamed = copy.deepcopy(plain)
    Streaming(_blocks(streamed, numbers), CPU)
    with torch.no_grad():
        for _ in range(2):
            assert torch.equal(predict_velocity(streamed, *_inputs()), predict_velocity(plain, *_inputs()))


@pytest.mark.parametrize("numbers", [(0, 1, 2, 3, 4, 5, 6), (1, 4)])
def test_gradients_are_the_same_bits(numbers: tuple[int, ...]) -> None:
    found = []
    for is_streamed in (False, True):
        transformer = _plain()
        trained = [block.attn.to_q.bias.requires_grad_(True) for block in _blocks(transformer, (0, 1, 4, 6))]
        transformer.enable_gradient_checkpointing()
        transformer.train()
        if is_streamed:
            Streaming(_blocks(transformer, numbers), CPU)
        for _ in range(2):
            predict_velocity(transformer, *_inputs()).square().sum().backward()
        found.append([weight.grad for weight in trained])
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("precision", ["int8-quanto", "int4-quanto", "nf4-bnb"])
def test_quantized_blocks_stream_too(precision: str) -> None:
    quantize = catalog.precision(precision).quantize
    assert quantize is not None
    transformer = _plain()
    for block in _blocks(transformer, tuple(range(7))):
        for path, layer in [(n, m) for n, m in block.named_modules() if isinstance(m, nn.Linear)]:
            block.set_submodule(path, quantize(layer.weight, layer.bias, CPU, torch.float32))
    expected = predict_velocity(transformer, *_inputs())
    ring = Streaming(_blocks(transformer, (0, 2, 3, 6)), CPU)
    assert ring.host_bytes > 0
    assert torch.equal(predict_velocity(transformer, *_inputs()), expected)


def test_only_the_slots_stay_on_the_card() -> None:
    transformer = _plain()
    blocks = _blocks(transformer, tuple(range(7)))
    whole = sum(w.nbytes for block in blocks for w in block.parameters() if w.nbytes >= 1 << 16)
    ring = Streaming(blocks, CPU)
    assert ring.host_bytes >= whole
    assert ring.slot_bytes <= NUM_SLOTS * max(
        sum(w.nbytes + 256 for w in block.parameters()) for block in blocks
    )
    storages = {w.untyped_storage().data_ptr() for b in blocks for w in b.parameters() if w.nbytes >= 1 << 16}
    assert len(storages) <= NUM_SLOTS


@pytest.mark.parametrize("precision", ["int8-quanto", "int4-quanto"])
def test_the_shell_of_a_quantized_weight_moves_with_it(precision: str) -> None:
    """To the device "meta", which is another one than the host's on every machine."""
    quantize = catalog.precision(precision).quantize
    assert quantize is not None
    layer = quantize(torch.randn(256, 256), None, CPU, torch.float32)
    for owner, name, tensor in list(streaming._plain_tensors(layer)):
        setattr(owner, name, tensor.to("meta"))
    assert layer.weight.device == CPU
    streaming._wrap_again(layer)
    assert layer.weight.device == torch.device("meta")
    assert layer.weight.shape == (256, 256) and layer.dequantized().shape == (256, 256)


@pytest.mark.parametrize("size", [1, 100, 1 << 24, (1 << 26) + 5, (1 << 25) - 1])
def test_pieces_make_up_the_whole_and_are_hardly_rounded_up(size: int) -> None:
    flat = torch.arange(size, dtype=torch.uint8)
    found = list(streaming.pieces(flat))
    assert torch.equal(torch.cat(found), flat)
    rounded = sum(1 << (piece.nbytes - 1).bit_length() for piece in found)
    assert rounded - size < 1 << 24


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["no_change", "int8-quanto", "nf4-bnb"])
def test_on_a_card_the_same_bits(precision: str) -> None:
    card = torch.device("cuda")
    resident, streamed = (
        _placed_on(card, precision, waiting) for waiting in ((), ("transformer_blocks", "single"))
    )
    Streaming(_blocks(streamed, tuple(range(7))), card)
    inputs = [_to(card, one) for one in _inputs()]
    with torch.no_grad():
        for _ in range(3):
            expected = predict_velocity(resident, *inputs)
            assert torch.equal(predict_velocity(streamed, *inputs), expected)
    for block in _blocks(streamed, tuple(range(7))):
        assert all(weight.device.type == "cuda" for weight in block.parameters())


def _placed_on(card: torch.device, precision: str, waiting: tuple[str, ...]) -> nn.Module:
    """The plain transformer on the card, with the blocks whose paths begin with `waiting` in host memory."""
    quantize = catalog.precision(precision).quantize
    transformer = _plain()
    for path, layer in [(n, m) for n, m in transformer.named_modules() if isinstance(m, nn.Linear)]:
        if quantize and "transformer_blocks." in path:
            there = CPU if path.startswith(waiting) else card
            transformer.set_submodule(path, quantize(layer.weight, layer.bias, there, torch.float32))
    for name, part in transformer.named_children():
        if not (waiting and name.startswith(waiting)):
            part.to(card)
    return transformer


def _to(card: torch.device, one: torch.Tensor | Conditions) -> torch.Tensor | Conditions:
    if isinstance(one, torch.Tensor):
        return one.to(card)
    return Conditions(one.pooled.to(card), one.embeddings.to(card))

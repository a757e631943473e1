"""Streamed blocks compute what resident ones compute, bit for bit, in training and without gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tests.flux.test_modulation import _inputs, _plain
from tuner.flux.objective import predict_velocity
from tuner.flux.streaming import NUM_SLOTS, Streaming, spread
from tuner.quantization import catalog

CPU = torch.device("cpu")


def _blocks(transformer: nn.Module, numbers: tuple[int, ...]) -> list[nn.Module]:
    blocks = [*transformer.transformer_blocks, *transformer.single_transformer_blocks]
    return [blocks[number] for number in numbers]


def test_streamed_blocks_are_spread_evenly() -> None:
    assert spread(57, 0) == ()
    assert spread(7, 7) == tuple(range(7))
    assert spread(10, 2) == (2, 7)
    assert len(set(spread(57, 23))) == 23 and max(spread(57, 23)) < 57


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
    streaming = Streaming(_blocks(transformer, (0, 2, 3, 6)), CPU)
    assert streaming.host_bytes > 0
    assert torch.equal(predict_velocity(transformer, *_inputs()), expected)


def test_only_the_slots_stay_on_the_card() -> None:
    transformer = _plain()
    blocks = _blocks(transformer, tuple(range(7)))
    whole = sum(w.nbytes for block in blocks for w in block.parameters() if w.nbytes >= 1 << 16)
    streaming = Streaming(blocks, CPU)
    assert streaming.host_bytes >= whole
    assert streaming.slot_bytes <= NUM_SLOTS * max(
        sum(w.nbytes + 256 for w in block.parameters()) for block in blocks
    )
    storages = {w.untyped_storage().data_ptr() for b in blocks for w in b.parameters() if w.nbytes >= 1 << 16}
    assert len(storages) <= NUM_SLOTS

"""Checkpointing changes what is remembered, never a gradient."""

from collections import Counter

import pytest
import torch

from tests.flux import whole
from tuner.training import checkpointing

BLOCKS = [f"transformer_blocks.{n}" for n in range(2)] + [f"single_transformer_blocks.{n}" for n in range(3)]


def gradients(model) -> dict[str, torch.Tensor]:
    """Of a loss through a transformer whose attention is trained."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("attn.to_q" in name)
        parameter.grad = None
    made = model(
        hidden_states=torch.randn(1, 4, 64, generator=torch.Generator().manual_seed(1)),
        timestep=torch.tensor([0.3]),
        guidance=torch.tensor([1.0]),
        pooled_projections=torch.ones(1, 40),
        encoder_hidden_states=torch.ones(1, 6, 48),
        txt_ids=torch.zeros(6, 3),
        img_ids=torch.zeros(4, 3),
        return_dict=False,
    )[0]
    made.square().sum().backward()
    return {name: one.grad for name, one in model.named_parameters() if one.grad is not None}


@pytest.mark.parametrize("backend", checkpointing.BACKENDS)
@pytest.mark.parametrize("interval", [1, 2, 3, 9])
def test_gradients_are_those_without_it(backend, interval):
    plain = gradients(whole.tiny())
    model = whole.tiny()
    checkpointing.enable(model, backend, BLOCKS[::interval])
    saving = gradients(model)
    assert len(plain) == 10 and plain.keys() == saving.keys()
    assert all(torch.equal(plain[name], saving[name]) for name in plain)


@pytest.mark.parametrize("backend", checkpointing.BACKENDS)
@pytest.mark.parametrize(("interval", "twice"), [(1, {0, 1, 2, 3, 4}), (2, {0, 2, 4}), (3, {0, 3})])
def test_every_nth_block_is_computed_again(backend, interval, twice):
    """Two double blocks and three single ones, counted through: 2 means half of them."""
    model, calls = whole.tiny(), Counter()
    for number, block in enumerate([*model.transformer_blocks, *model.single_transformer_blocks]):
        block.register_forward_pre_hook(lambda *_, number=number: calls.update([number]))
    checkpointing.enable(model, backend, BLOCKS[::interval])
    gradients(model)
    assert {number for number, count in calls.items() if count == 2} == twice
    assert set(calls.values()) <= {1, 2}


def test_no_block_is_checkpointed_without_gradients():
    model = whole.tiny()
    checkpointing.enable(model, "torch", BLOCKS)
    assert torch.equal(whole.outputs(model), whole.outputs(whole.tiny()))

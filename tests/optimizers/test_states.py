"""The state of every optimizer goes into a checkpoint and comes back whole."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from safetensors.torch import load, save

from tests.optimizers.problem import lora_pair, train
from tuner.errors import CheckpointMismatch
from tuner.optimizers import catalog
from tuner.optimizers.states import pack, unpack


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "fp32"])
@pytest.mark.parametrize("row", catalog.OPTIMIZERS, ids=lambda row: row.name)
def test_a_resumed_run_goes_on_bit_for_bit(row: catalog.OptimizerRow, dtype: torch.dtype) -> None:
    straight = lora_pair(dtype)
    optimizer = catalog.build(row.name, straight, row.default_lr)
    train(optimizer, straight, 3)
    tensors, rest = pack(optimizer)
    saved, text = save(tensors), json.dumps(rest)
    resumed = copy.deepcopy(straight)
    train(optimizer, straight, 3)

    again = catalog.build(row.name, resumed, row.default_lr)
    unpack(again, load(saved), json.loads(text))
    train(again, resumed, 3)
    assert all(torch.equal(a, b) for a, b in zip(straight, resumed, strict=True))


def test_packed_tensors_are_copies() -> None:
    parameters = lora_pair(torch.float32)
    optimizer = catalog.build("torch-adam", parameters, 1e-3)
    train(optimizer, parameters, 1)
    tensors, _ = pack(optimizer)
    before = {key: value.clone() for key, value in tensors.items()}
    train(optimizer, parameters, 2)
    assert all(torch.equal(tensors[key], before[key]) for key in tensors)


def test_tuples_and_numbered_entries_come_back_as_they_were() -> None:
    optimizer = catalog.build("torch-adam", lora_pair(torch.float32), 1e-3)
    train(optimizer, optimizer.param_groups[0]["params"], 1)
    tensors, rest = pack(optimizer)
    again = catalog.build("torch-adam", lora_pair(torch.float32), 1e-3)
    unpack(again, tensors, json.loads(json.dumps(rest)))
    assert again.param_groups[0]["betas"] == (0.9, 0.999)
    assert again.state_dict()["state"].keys() == {0, 1}


def test_another_optimizer_or_another_adapter_is_refused() -> None:
    tensors, rest = pack(catalog.build("torch-adam", lora_pair(torch.float32), 1e-3))
    with pytest.raises(CheckpointMismatch, match="'torch.Adam' over 2 tensors, and this run has 'torch.SGD'"):
        unpack(catalog.build("torch-sgd", lora_pair(torch.float32), 1e-3), tensors, rest)
    with pytest.raises(CheckpointMismatch, match="over 1"):
        unpack(catalog.build("torch-adam", lora_pair(torch.float32)[:1], 1e-3), tensors, rest)

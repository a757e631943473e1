"""Schedule-free training: what is shown, and that showing it changes no bit of the training."""

from __future__ import annotations

import copy
import json

import pytest
import torch

from tests.optimizers.problem import lora_pair, loss_of, train
from tuner.optimizers import catalog
from tuner.optimizers.averaging import Averaging
from tuner.optimizers.states import pack, unpack

FREE = [row.name for row in catalog.OPTIMIZERS if row.name.startswith("adamw_schedulefree")]


def test_only_schedule_free_optimizers_average() -> None:
    built = {row.name: catalog.build(row.name, lora_pair(torch.float32), 1e-3) for row in catalog.OPTIMIZERS}
    assert [name for name, one in built.items() if isinstance(one, Averaging)] == FREE


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "fp32"])
def test_showing_the_average_between_steps_changes_nothing(dtype: torch.dtype) -> None:
    alone, watched = lora_pair(dtype), lora_pair(dtype)
    first, second = (catalog.build("adamw_schedulefree", p, 1e-2) for p in (alone, watched))
    assert isinstance(second, Averaging)
    second.show_average()  # before the first step there is nothing to show
    for number in range(5):
        train(first, alone, 1)
        train(second, watched, 1)
        here = [p.detach().clone() for p in watched]
        second.show_average()
        shown = all(torch.equal(a, b) for a, b in zip(here, watched, strict=True))
        assert shown is (number == 0), "after one step there is but one place"
        second.show_training_point()
        assert all(torch.equal(a, b) for a, b in zip(here, watched, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(alone, watched, strict=True))


def test_the_average_is_that_of_the_places() -> None:
    parameter = torch.nn.Parameter(torch.zeros(3))
    optimizer = catalog.build("adamw_schedulefree", [parameter], 0.1)
    assert isinstance(optimizer, Averaging)
    places = []
    for _ in range(7):
        parameter.grad = torch.ones(3)
        optimizer.step()
        places.append(optimizer.state[parameter]["point"].clone())
    optimizer.show_average()
    assert torch.allclose(parameter, torch.stack(places).mean(0))


def test_the_average_is_better_than_where_the_gradients_are_taken() -> None:
    parameters = lora_pair(torch.float32)
    optimizer = catalog.build("adamw_schedulefree", parameters, 3e-2)
    assert isinstance(optimizer, Averaging)
    train(optimizer, parameters, 60)
    before = loss_of(parameters).item()
    optimizer.show_average()
    assert loss_of(parameters).item() < before * 1.02


def test_a_checkpoint_of_the_average_goes_on_from_the_training_point() -> None:
    straight = lora_pair(torch.float32)
    optimizer = catalog.build("adamw_schedulefree", straight, 1e-2)
    train(optimizer, straight, 4)
    optimizer.show_average()
    saved, (tensors, rest) = copy.deepcopy(straight), pack(optimizer)
    optimizer.show_training_point()
    train(optimizer, straight, 4)
    again = catalog.build("adamw_schedulefree", saved, 1e-2)
    unpack(again, tensors, json.loads(json.dumps(rest)))
    train(again, saved, 4)
    assert all(torch.equal(a, b) for a, b in zip(straight, saved, strict=True))


def test_prodigy_finds_a_rate_that_learns() -> None:
    parameters = lora_pair(torch.float32)
    optimizer = catalog.build("prodigy", parameters, 1.0)
    losses = train(optimizer, parameters, 200)
    assert losses[-1] < 0.5 * losses[0]
    assert 1e-4 < optimizer.param_groups[0]["d"] < 1.0

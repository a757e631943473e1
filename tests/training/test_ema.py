"""The running mean of an adapter: its formula, where it lies, and that looking at it changes nothing."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from tuner.training.ema import Ema, EmaRules, decay_at

RULES = EmaRules(decay=0.995, device=torch.device("cpu"))


@pytest.mark.parametrize(
    ("step", "decay"), [(1, 0.0), (2, 2 / 11), (3, 3 / 12), (11, 11 / 20), (1790, 1790 / 1799), (1800, 0.995)]
)
def test_the_decay_grows_to_its_limit(step: int, decay: float) -> None:
    """(1 + n) / (10 + n) with n = step - 1."""
    assert decay_at(step, RULES) == pytest.approx(decay)


def test_with_a_warm_up_the_mean_begins_after_it() -> None:
    rules = replace(RULES, warmup_steps=5)
    assert [decay_at(step, rules) for step in (1, 2, 5, 6, 100)] == [0.0, 0.0, 0.0, 0.995, 0.995]


def _walk(rules: EmaRules, num_steps: int) -> tuple[list[nn.Parameter], Ema]:
    """Parameters that take the value of the step, followed by a mean."""
    parameters = [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2, 2))]
    mean = Ema(parameters, rules)
    for step in range(1, num_steps + 1):
        for number, parameter in enumerate(parameters):
            parameter.data.fill_(step + 0.3 * number)
        mean.update(step)
    return parameters, mean


def _held(parameters: list[nn.Parameter], mean: Ema) -> list[float]:
    with mean.in_place():
        return [parameter.flatten()[0].item() for parameter in parameters]


@pytest.mark.parametrize("foreach", [True, False])
def test_the_mean_is_the_formula(foreach: bool) -> None:
    parameters, mean = _walk(replace(RULES, foreach=foreach), 6)
    expected = 0.0
    for step in range(1, 7):
        decay = 0.0 if step == 1 else min((1 + step - 1) / (10 + step - 1), 0.995)
        expected = decay * expected + (1 - decay) * step
    assert _held(parameters, mean) == pytest.approx([expected, expected + 0.3])


def test_one_by_one_gives_the_same_bits() -> None:
    together, apart = _walk(RULES, 9), _walk(replace(RULES, foreach=False), 9)
    assert _held(*together) == _held(*apart)


def test_between_its_steps_the_mean_stands_still() -> None:
    rules = replace(RULES, update_interval=4)
    assert _held(*_walk(rules, 7)) == _held(*_walk(rules, 4))
    assert _held(*_walk(rules, 8)) != _held(*_walk(rules, 4))


def test_looking_at_the_mean_changes_no_bit_of_the_parameters() -> None:
    parameters, mean = _walk(RULES, 5)
    before = [parameter.detach().clone() for parameter in parameters]
    with pytest.raises(RuntimeError, match="in the middle"), mean.in_place():
        assert not torch.equal(parameters[0], before[0])
        raise RuntimeError("in the middle")
    assert all(torch.equal(one, other) for one, other in zip(parameters, before, strict=True))


def test_small_changes_are_not_lost() -> None:
    """Why it is float32: in bf16 a mean at 1 would not see steps of 0.005 * 0.1."""
    parameter = nn.Parameter(torch.ones(1))
    mean = Ema([parameter], replace(RULES, warmup_steps=1))
    parameter.data.fill_(1.1)
    for step in range(2, 402):
        mean.update(step)
    assert _held([parameter], mean) == pytest.approx([1.1 - 0.1 * 0.995**400], abs=1e-5)


def test_a_mean_that_begins_anew_is_the_present_value() -> None:
    parameters, mean = _walk(RULES, 5)
    mean.restart()
    assert _held(parameters, mean) == pytest.approx([5.0, 5.3])

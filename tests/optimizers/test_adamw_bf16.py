"""Our AdamW against a float64 reference, torch's own, and the traps of bf16."""

from __future__ import annotations

import math

import pytest
import torch

from tuner.optimizers.adamw_bf16 import AdamWBF16, join, split
from tuner.optimizers.states import pack, unpack

SETUP = {"lr": 1e-3, "betas": (0.9, 0.999), "weight_decay": 1e-2, "eps": 1e-6}


def gradients(num_steps: int, shape: tuple[int, ...] = (7, 11)) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(shape, generator=generator) * 10 ** -(step % 4) for step in range(num_steps)]


def weight(dtype: torch.dtype, shape: tuple[int, ...] = (7, 11)) -> torch.nn.Parameter:
    start = torch.randn(shape, generator=torch.Generator().manual_seed(4)) / 8
    return torch.nn.Parameter(start.bfloat16().to(dtype))


def train(optimizer: torch.optim.Optimizer, parameter: torch.nn.Parameter, grads: list[torch.Tensor]) -> None:
    for grad in grads:
        parameter.grad = grad.to(parameter.dtype)
        optimizer.step()


def reference(start: torch.Tensor, grads: list[torch.Tensor]) -> torch.Tensor:
    """AdamW as the paper writes it, in float64."""
    (beta1, beta2), w = SETUP["betas"], start.double()
    mean, square = torch.zeros_like(w), torch.zeros_like(w)
    for t, grad in enumerate((g.double() for g in grads), start=1):
        mean = beta1 * mean + (1 - beta1) * grad
        square = beta2 * square + (1 - beta2) * grad**2
        step = (mean / (1 - beta1**t)) / (torch.sqrt(square / (1 - beta2**t)) + SETUP["eps"])
        w = w - SETUP["lr"] * SETUP["weight_decay"] * w - SETUP["lr"] * step
    return w


def test_float32_follows_the_float64_reference() -> None:
    grads, ours = gradients(200), weight(torch.float32)
    expected = reference(ours.detach(), grads)
    optimizer = AdamWBF16([ours], **SETUP)
    train(optimizer, ours, grads)
    assert torch.allclose(ours.double(), expected, atol=1e-6, rtol=0)
    assert set(optimizer.state[ours]) == {"step", "mean", "square"}


@pytest.mark.parametrize("weight_decay", [0.0, 1e-2])
def test_float32_is_torch_adamw(weight_decay: float) -> None:
    """Few steps, as torch rounds its decay factor and drifts from the truth by 1e-8 a step."""
    setup = {**SETUP, "weight_decay": weight_decay}
    ours, theirs = weight(torch.float32), weight(torch.float32)
    train(AdamWBF16([ours], **setup), ours, gradients(10))
    train(torch.optim.AdamW([theirs], **setup), theirs, gradients(10))
    assert torch.allclose(ours, theirs, atol=1e-6, rtol=0)


def test_bf16_is_the_rounded_float32_run() -> None:
    grads = [g.bfloat16().float() for g in gradients(200)]
    half, full = weight(torch.bfloat16), weight(torch.float32)
    optimizer = AdamWBF16([half], **SETUP)
    train(optimizer, half, grads)
    train(AdamWBF16([full], **SETUP), full, grads)
    (exact,) = join([half], [optimizer.state[half]["low"]])
    assert torch.allclose(exact, full, atol=1e-6, rtol=0)
    assert torch.equal(half, exact.bfloat16())


def test_tiny_updates_are_not_lost_in_bf16() -> None:
    """A step of 1e-5 is far below what bf16 can show at 1.0; a thousand of them move it all the same."""
    ours, theirs = (torch.nn.Parameter(torch.ones(64, dtype=torch.bfloat16)) for _ in range(2))
    setup = {**SETUP, "lr": 1e-5, "weight_decay": 0.0}
    grads = [torch.ones(64)] * 1000
    train(AdamWBF16([ours], **setup), ours, grads)
    train(torch.optim.AdamW([theirs], **setup), theirs, grads)
    assert torch.equal(theirs, torch.ones_like(theirs))
    assert ours.float().mean().item() == pytest.approx(0.99, abs=2e-3)


def test_weight_decay_alone_shrinks_a_bf16_weight() -> None:
    p = torch.nn.Parameter(torch.ones(8, dtype=torch.bfloat16))
    train(AdamWBF16([p], **{**SETUP, "weight_decay": 0.1}), p, [torch.zeros(8)] * 1000)
    assert p.float().mean().item() == pytest.approx(math.exp(-0.1), rel=4e-3)


def test_the_mean_is_a_mean() -> None:
    """SimpleTuner's first moment tends to 1.0988 for gradients of 1; ours to 1."""
    p = torch.nn.Parameter(torch.zeros(4, dtype=torch.bfloat16))
    optimizer = AdamWBF16([p], **SETUP)
    train(optimizer, p, [torch.ones(4)] * 300)
    assert torch.allclose(optimizer.state[p]["mean"], torch.ones(4), atol=1e-6)


def test_states_survive_saving_with_their_formats() -> None:
    p = weight(torch.bfloat16)
    optimizer = AdamWBF16([p], **SETUP)
    train(optimizer, p, gradients(5))
    again = AdamWBF16([p], **SETUP)
    unpack(again, *pack(optimizer))
    for key, value in optimizer.state[p].items():
        loaded = again.state[p][key]
        if isinstance(value, torch.Tensor):
            assert loaded.dtype == value.dtype and torch.equal(loaded, value) and loaded is not value
        else:
            assert loaded == value == 5


def test_split_and_join_are_inverse_but_for_ties() -> None:
    generator = torch.Generator().manual_seed(5)
    numbers = torch.randn(100_000, generator=generator) * torch.logspace(-30, 30, 100_000)
    numbers = torch.cat([numbers, torch.tensor([0.0, -0.0, 1.0, 1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8])])
    upper, low = torch.empty_like(numbers, dtype=torch.bfloat16), torch.empty_like(numbers, dtype=torch.int16)
    split([numbers], [upper], [low])
    (joined,) = join([upper], [low])
    assert torch.equal(upper, numbers.bfloat16())
    distance = (joined.view(torch.int32).long() - numbers.view(torch.int32).long()).abs()
    assert distance.max() <= 1 and (distance == 1).float().mean() < 1e-4


def test_parameters_of_both_kinds_late_and_without_gradient() -> None:
    """A parameter whose first gradient comes late has its own bias correction; one without stays as it is."""
    first, late, never = weight(torch.float32), weight(torch.bfloat16), weight(torch.float32)
    alone, untouched = weight(torch.bfloat16), never.detach().clone()
    optimizer = AdamWBF16([first, late, never], **SETUP)
    train(optimizer, first, gradients(3))
    optimizer.zero_grad()
    train(optimizer, late, gradients(2))
    train(AdamWBF16([alone], **SETUP), alone, gradients(2))
    assert torch.equal(late, alone) and torch.equal(never, untouched)
    assert (optimizer.state[first]["step"], optimizer.state[late]["step"]) == (3, 2)


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> list[torch.Tensor]:
        parameters = [weight(torch.bfloat16), weight(torch.bfloat16), weight(torch.float32)]
        optimizer = AdamWBF16(parameters, **SETUP)
        for grad in gradients(3):
            for p in parameters:
                p.grad = grad.to(p.dtype)
            optimizer.step()
        return [p.detach() for p in parameters]

    whole = run()
    monkeypatch.setattr("tuner.optimizers.adamw_bf16.CHUNK", 80)
    assert all(torch.equal(a, b) for a, b in zip(whole, run(), strict=True))


def test_other_formats_are_refused() -> None:
    with pytest.raises(TypeError, match="float16"):
        AdamWBF16([torch.nn.Parameter(torch.zeros(2, dtype=torch.float16))], lr=1e-3)

"""The step by numbers, on a stand-in for the transformer whose word is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tuner.flux.loss import Loss
from tuner.flux.objective import Conditions
from tuner.flux.sigmas import SigmaSchedule
from tuner.optimizers import catalog
from tuner.training import loop
from tuner.training.feed import MicroBatch
from tuner.training.loop import Rules, Trainee, micro_batch_loss, train_steps


class Stand(nn.Module):
    """Says `weight` times what it is shown; untuned, the weight is 0.25."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))
        self.asked: list[dict[str, Tensor]] = []

    def forward(self, **given: Tensor) -> tuple[Tensor]:
        self.asked.append(given)
        return (self.weight * given["hidden_states"],)

    @contextmanager
    def untuned(self) -> Iterator[None]:
        kept = self.weight.data.clone()
        self.weight.data.fill_(0.25)
        yield
        self.weight.data.copy_(kept)


RULES = Rules(
    num_steps=1,
    accumulation=1,
    lr_at=lambda step: 0.1,
    max_grad_norm=0.0,
    clip_by_norm=False,
    sigmas=SigmaSchedule(),
    loss=Loss(),
    guidance=(1.0, 1.0),
    extra_noise_at=lambda step: 0.0,
    autocast=None,
)


def trainee(optimizer: str = "torch-sgd") -> tuple[Trainee, Stand]:
    stand = Stand()
    built = catalog.build(optimizer, stand.parameters(), 0.1)
    return Trainee(stand, [stand.weight], built, torch.Generator().manual_seed(0), stand.untuned), stand


def batch(count: int, **more: object) -> MicroBatch:
    latents = torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(count))
    return MicroBatch(latents, Conditions(torch.zeros(count, 2), torch.zeros(count, 3, 2)), **more)


def _noise_and_sigmas(one: MicroBatch) -> tuple[Tensor, Tensor]:
    """The loop's first two draws."""
    dice = torch.Generator().manual_seed(0)
    sigmas = torch.sigmoid(torch.randn(len(one.latents), generator=dice))
    return torch.randn(one.latents.shape, generator=dice), sigmas.view(-1, 1, 1, 1)


def test_the_loss_is_that_of_the_flow() -> None:
    one, (who, _) = batch(3), trainee()
    noise, sigmas = _noise_and_sigmas(one)
    velocity = 0.5 * ((1 - sigmas) * one.latents + sigmas * noise)
    expected = ((velocity - (noise - one.latents)) ** 2).mean()
    assert micro_batch_loss(who, one, RULES, 1).item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_regularisation_picture_is_held_to_the_untuned_word_at_the_same_sigma() -> None:
    one, (who, stand) = batch(3, is_regularisation=True), trainee()
    noise, sigmas = _noise_and_sigmas(one)
    shown = (1 - sigmas) * one.latents + sigmas * noise
    loss = micro_batch_loss(who, one, RULES, 1)
    assert loss.item() == pytest.approx(((0.5 * shown - 0.25 * shown) ** 2).mean().item(), rel=1e-6)
    student, base = stand.asked
    assert torch.equal(student["timestep"], base["timestep"])
    assert torch.equal(student["hidden_states"], base["hidden_states"])
    loss.backward()
    assert stand.weight.grad is not None
    expected = (2 * 0.25 * shown**2).mean().item()
    assert stand.weight.grad.item() == pytest.approx(expected, rel=1e-5), "the base gives no gradient"


def test_the_mask_reaches_the_loss() -> None:
    mask = torch.zeros(2, 1, 8, 8)
    who, _ = trainee()
    assert micro_batch_loss(who, batch(2, mask=mask), RULES, 1).item() == 0


def test_extra_noise_is_in_the_input_only() -> None:
    rules = replace(RULES, extra_noise_at=lambda step: 0.5, sigmas=SigmaSchedule("list", numbers=(1.0,)))
    one, (who, stand) = batch(40), trainee()
    loss = micro_batch_loss(who, one, rules, 1)
    shown = stand.asked[0]["hidden_states"]
    assert shown.var().item() == pytest.approx(1 + 0.5**2, rel=0.03), "sigma is 1: nothing but noise"
    plain, _ = trainee()
    same_draws = micro_batch_loss(plain, one, replace(rules, extra_noise_at=lambda step: 0.0), 1)
    # E|w (n + p m) - (n - x)|^2 - E|w n - (n - x)|^2 = w^2 p^2 for independent unit noise m
    assert loss.item() - same_draws.item() == pytest.approx(0.25 * 0.25, abs=0.02)


def test_only_what_is_asked_for_is_drawn() -> None:
    """With everything constant the dice stand where two draws have left them: old runs stay the same."""
    (who, _), one = trainee(), batch(2)
    micro_batch_loss(who, one, RULES, 1)
    dice = torch.Generator().manual_seed(0)
    torch.randn(2, generator=dice)
    torch.randn(one.latents.shape, generator=dice)
    assert torch.equal(who.dice.get_state(), dice.get_state())


def test_guidance_out_of_a_range_reaches_the_transformer() -> None:
    who, stand = trainee()
    micro_batch_loss(who, batch(64), replace(RULES, guidance=(2.0, 4.0)), 1)
    given = stand.asked[0]["guidance"]
    assert given.min() >= 2 and given.max() <= 4 and given.std() > 0.3


def test_the_items_of_a_step_weigh_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of 3 and 1, the last of a bucket, give the gradient of one batch of 4."""

    def loss(who: Trainee, one: MicroBatch, rules: Rules, number: int) -> Tensor:
        return (who.parameters[0] * one.latents.mean((1, 2, 3))).mean()

    monkeypatch.setattr(loop, "micro_batch_loss", loss)
    batches = [batch(3), batch(1)]
    every = torch.cat([one.latents for one in batches]).mean((1, 2, 3))
    who, stand = trainee()
    (step,) = train_steps(who, iter(batches), replace(RULES, accumulation=2))
    assert step.loss == pytest.approx(0.5 * every.mean().item(), rel=1e-5)
    assert step.grad_norm == pytest.approx(abs(every.mean().item()), rel=1e-5)
    assert stand.weight.item() == pytest.approx(0.5 - 0.1 * every.mean().item(), rel=1e-5)


@pytest.mark.parametrize(("by_norm", "moved"), [(False, 0.01), (True, 0.01)])
def test_clipping_and_the_norm_before_it(by_norm: bool, moved: float) -> None:
    who, stand = trainee()
    rules = replace(RULES, max_grad_norm=0.1, clip_by_norm=by_norm)
    (step,) = train_steps(who, iter([batch(2)]), rules)
    assert step.grad_norm > 0.1
    assert abs(stand.weight.item() - 0.5) == pytest.approx(moved, rel=1e-4)


def test_finished_shows_the_average_of_schedule_free_training() -> None:
    who, stand = trainee("adamw_schedulefree")
    list(train_steps(who, iter([batch(2)] * 4), replace(RULES, num_steps=4)))
    here = stand.weight.item()
    with who.finished():
        assert stand.weight.item() == who.optimizer.state[stand.weight]["average"].item() != here
    assert stand.weight.item() == here
    plain, other = trainee()
    with plain.finished():
        assert other.weight.item() == 0.5


def test_prodigys_rate_is_told() -> None:
    who, _ = trainee("prodigy")
    steps = list(train_steps(who, iter([batch(2)] * 3), replace(RULES, num_steps=3, lr_at=lambda step: 1.0)))
    assert steps[-1].lr == who.optimizer.param_groups[0]["d"] > 0

"""The training step. `train_steps` yields after every optimizer update; it knows no files, no events and no
UI.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tuner.flux.loss import Loss, flow_matching_loss
from tuner.flux.objective import Conditions, add_noise, draw_guidance, predict_velocity
from tuner.flux.sigmas import Draw, SigmaSchedule, draw_sigmas
from tuner.flux.tread import Routing
from tuner.optimizers.averaging import Averaging
from tuner.training.feed import MicroBatch


@dataclass(frozen=True)
class Rules:
    """The numbers of the loop.

    `guidance`: the span it is drawn from, None where the flavour embeds none; `extra_noise_at`: the share of
    noise that the target does not know, at a step; `autocast`: the dtype to compute in where weights and
    adapter differ, else None.
    """

    num_steps: int
    accumulation: int
    lr_at: Callable[[int], float]
    max_grad_norm: float
    clip_by_norm: bool
    sigmas: SigmaSchedule
    loss: Loss
    guidance: tuple[float, float] | None
    extra_noise_at: Callable[[int], float]
    autocast: torch.dtype | None


@dataclass(frozen=True)
class Trainee:
    """The frozen transformer with its adapter inside, the adapter's parameters, and the dice of sigmas and
    noise.

    `untuned()`: inside that context the transformer is as it was without the adapter. `routing`: TREAD's,
    None where every block sees all tokens.
    """

    transformer: nn.Module
    parameters: list[nn.Parameter]
    optimizer: torch.optim.Optimizer
    dice: torch.Generator
    untuned: Callable[[], AbstractContextManager[object]]
    routing: Routing | None = None

    @contextmanager
    def finished(self) -> Iterator[None]:
        """Inside, the adapter holds the weights that the run hands over if it ends now: the place for
        previews, checkpoints and EMA. Schedule-free optimizers train at another point than that.
        """
        if not isinstance(self.optimizer, Averaging):
            yield
            return
        self.optimizer.show_average()
        try:
            yield
        finally:
            self.optimizer.show_training_point()


@dataclass(frozen=True)
class Step:
    """One finished update; `grad_norm` is the norm before clipping."""

    number: int
    loss: float
    lr: float
    grad_norm: float
    seconds: float


class StepTooLarge(Exception):
    """The card ran out of memory before anything of the step was learned: it can be done again."""


class Question(NamedTuple):
    """`sigmas` and `guidance` (B,), `noise` and `noisy` (B, C, H, W)."""

    sigmas: Tensor
    guidance: Tensor | None
    noise: Tensor
    noisy: Tensor


def train_steps(
    trainee: Trainee, feed: Iterator[MicroBatch], rules: Rules, first_step: int = 0
) -> Iterator[Step]:
    """Runs the steps after `first_step` up to `rules.num_steps`, yielding each when its update is done."""
    trainee.transformer.train()
    for number in range(first_step + 1, rules.num_steps + 1):
        started = time.monotonic()
        lr = rules.lr_at(number)
        for group in trainee.optimizer.param_groups:
            group["lr"] = lr
        try:
            loss = _gradients(trainee, feed, rules, number)
        except torch.OutOfMemoryError as error:
            raise StepTooLarge(number) from error
        grad_norm = _clip(trainee.parameters, rules)
        trainee.optimizer.step()
        trainee.optimizer.zero_grad(set_to_none=True)
        # The two .item() calls are the step's only wait for the GPU.
        loss_value, norm_value = loss.item(), grad_norm.item()
        # Prodigy's rate is its guess `d`, of which the schedule is a factor.
        shown = lr * trainee.optimizer.param_groups[0].get("d", 1.0)
        yield Step(number, loss_value, shown, norm_value, time.monotonic() - started)


def _gradients(trainee: Trainee, feed: Iterator[MicroBatch], rules: Rules, number: int) -> Tensor:
    """The mean gradient over all items of one step, and their mean loss.

    Items weigh the same, also where a batch is short, being the last of its bucket.
    """
    losses, num_items = [], 0
    for _ in range(rules.accumulation):
        batch = next(feed)
        loss = micro_batch_loss(trainee, batch, rules, number) * len(batch.latents)
        loss.backward()
        losses.append(loss.detach())
        num_items += len(batch.latents)
    torch._foreach_div_([p.grad for p in trainee.parameters if p.grad is not None], num_items)
    return torch.stack(losses).sum() / num_items


def micro_batch_loss(trainee: Trainee, batch: MicroBatch, rules: Rules, number: int) -> Tensor:
    """The flow-matching loss of one micro-batch of step `number`, each item noised with its own sigma."""
    latents = batch.latents
    sigmas, guidance, noise, noisy = question(batch, rules, number, trainee.dice)
    if trainee.routing:
        trainee.routing.expect(latents.shape[2] * latents.shape[3] // 4, batch.keep)
    with torch.autocast(latents.device.type, rules.autocast, enabled=rules.autocast is not None):
        velocity = predict_velocity(trainee.transformer, noisy, sigmas, batch.conditions, guidance)
        target = noise - latents
        if batch.is_regularisation:
            target = _untuned_velocity(trainee, noisy, sigmas, batch.conditions, guidance)
    return flow_matching_loss(velocity, target, sigmas, rules.loss, batch.mask)


def question(batch: MicroBatch, rules: Rules, number: int, dice: torch.Generator) -> Question:
    """Draws what the transformer is asked in one micro-batch of step `number`."""
    latents = batch.latents
    num_tokens = latents.shape[2] * latents.shape[3] // 4
    draw = Draw(len(latents), num_tokens, batch.timestep_offset, batch.first_item)
    sigmas = draw_sigmas(rules.sigmas, draw, dice)
    noise = torch.randn(latents.shape, generator=dice, device=latents.device)
    guidance = None if rules.guidance is None else draw_guidance(len(latents), rules.guidance, dice)
    noisy = add_noise(latents, _disturbed(noise, rules.extra_noise_at(number), dice), sigmas)
    return Question(sigmas, guidance, noise, noisy.to(batch.conditions.embeddings.dtype))


@torch.no_grad()
def _untuned_velocity(
    trainee: Trainee, noisy: Tensor, sigmas: Tensor, conditions: Conditions, guidance: Tensor | None
) -> Tensor:
    """What the base model says to the very same question: the target of pictures that hold it in place."""
    with trainee.untuned():
        return predict_velocity(trainee.transformer, noisy, sigmas, conditions, guidance)


def _disturbed(noise: Tensor, share: float, dice: torch.Generator) -> Tensor:
    """The noise of the input, with a `share` of noise on top that the target does not know."""
    if not share:
        return noise
    return noise + share * torch.randn(noise.shape, generator=dice, device=noise.device)


def _clip(parameters: list[nn.Parameter], rules: Rules) -> Tensor:
    """The total gradient norm before clipping; `max_grad_norm` 0 clips nothing."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if rules.max_grad_norm > 0 and rules.clip_by_norm:
        nn.utils.clip_grads_with_norm_(parameters, rules.max_grad_norm, norm)
    elif rules.max_grad_norm > 0:
        nn.utils.clip_grad_value_(parameters, rules.max_grad_norm)
    return norm

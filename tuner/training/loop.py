"""The training step. `train_steps` yields after every optimizer update; it knows no files, no events and no
UI.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tuner.flux.objective import (
    SigmaSchedule,
    add_noise,
    draw_sigmas,
    flow_matching_loss,
    predict_velocity,
)
from tuner.training.feed import MicroBatch


@dataclass(frozen=True)
class Rules:
    """The numbers of the loop. `autocast` is the dtype to compute in where weights and adapter differ, else
    None.
    """

    num_steps: int
    accumulation: int
    lr_at: Callable[[int], float]
    max_grad_norm: float
    clip_by_norm: bool
    sigmas: SigmaSchedule
    guidance: float | None
    autocast: torch.dtype | None


@dataclass(frozen=True)
class Trainee:
    """The frozen transformer with its adapter inside, the adapter's parameters, and the dice of sigmas and
    noise.
    """

    transformer: nn.Module
    parameters: list[nn.Parameter]
    optimizer: torch.optim.Optimizer
    dice: torch.Generator


@dataclass(frozen=True)
class Step:
    """One finished update; `grad_norm` is the norm before clipping."""

    number: int
    loss: float
    lr: float
    grad_norm: float
    seconds: float


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
        losses = []
        for _ in range(rules.accumulation):
            loss = micro_batch_loss(trainee, next(feed), rules) / rules.accumulation
            loss.backward()
            losses.append(loss.detach())
        grad_norm = _clip(trainee.parameters, rules)
        trainee.optimizer.step()
        trainee.optimizer.zero_grad(set_to_none=True)
        # The two .item() calls are the step's only wait for the GPU.
        loss_value, norm_value = torch.stack(losses).sum().item(), grad_norm.item()
        yield Step(number, loss_value, lr, norm_value, time.monotonic() - started)


def micro_batch_loss(trainee: Trainee, batch: MicroBatch, rules: Rules) -> Tensor:
    """The flow-matching loss of one micro-batch, each item noised with its own sigma."""
    latents, device = batch.latents, batch.latents.device
    num_tokens = latents.shape[2] * latents.shape[3] // 4
    sigmas = draw_sigmas(len(latents), rules.sigmas, num_tokens, trainee.dice)
    noise = torch.randn(latents.shape, generator=trainee.dice, device=device)
    noisy = add_noise(latents, noise, sigmas).to(batch.conditions.embeddings.dtype)
    guidance = None if rules.guidance is None else torch.full_like(sigmas, rules.guidance)
    with torch.autocast(device.type, rules.autocast, enabled=rules.autocast is not None):
        velocity = predict_velocity(trainee.transformer, noisy, sigmas, batch.conditions, guidance)
    return flow_matching_loss(velocity, latents, noise)


def _clip(parameters: list[nn.Parameter], rules: Rules) -> Tensor:
    """The total gradient norm before clipping; `max_grad_norm` 0 clips nothing."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if rules.max_grad_norm > 0 and rules.clip_by_norm:
        nn.utils.clip_grads_with_norm_(parameters, rules.max_grad_norm, norm)
    elif rules.max_grad_norm > 0:
        nn.utils.clip_grad_value_(parameters, rules.max_grad_norm)
    return norm

"""The loss on pictures that are kept apart: while it falls, more is learned than the trained pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from tuner.dataset.batches import Batch, Item
from tuner.dataset.index import DatasetIndex
from tuner.flux.loss import flow_matching_loss
from tuner.flux.objective import add_noise, draw_guidance, predict_velocity
from tuner.training.feed import Feed, MicroBatch
from tuner.training.hardware import evaluating
from tuner.training.loop import Rules, Trainee

SEED = 0
"""Of the noise, which is the same at every measurement and in every run, so that only the weights differ."""


@torch.no_grad()
def evaluate(trainee: Trainee, feed: Feed, index: DatasetIndex, rules: Rules, num_sigmas: int) -> float:
    """The mean loss over the pictures of `index.evaluation` at `num_sigmas` even noise levels.

    No dice of the run are thrown: `feed` lends its caches and its rules, nothing more.
    """
    dice = torch.Generator(feed.device).manual_seed(SEED)
    quiet = replace(
        feed,
        entries={entry.id: entry for entry in index.evaluation},
        rules=replace(feed.rules, caption_dropout=0.0, mask_probability=1.0),
        dice=torch.Generator().manual_seed(SEED),
    )
    total, count = 0.0, 0
    with evaluating(trainee.transformer), trainee.finished():
        for batch in _batches(index):
            made = quiet.micro_batch(batch, 0)
            total += _loss(trainee, made, rules, num_sigmas, dice) * len(batch.items)
            count += len(batch.items)
    return total / count


def _batches(index: DatasetIndex) -> Iterator[Batch]:
    """Each picture once, with its first caption."""
    for entry in index.evaluation:
        for pictures in entry.buckets.values():
            for start in range(0, len(pictures), entry.batch_size):
                chunk = pictures[start : start + entry.batch_size]
                yield Batch(entry.id, tuple(Item(one, one.captions[0]) for one in chunk))


def _loss(trainee: Trainee, batch: MicroBatch, rules: Rules, num_sigmas: int, dice: torch.Generator) -> float:
    """Of one batch, over all noise levels."""
    latents, losses = batch.latents, list[Tensor]()
    for number in range(num_sigmas):
        sigmas = torch.full((len(latents),), (number + 0.5) / num_sigmas, device=latents.device)
        noise = torch.randn(latents.shape, generator=dice, device=latents.device)
        guidance = None if rules.guidance is None else draw_guidance(len(latents), rules.guidance, dice)
        noisy = add_noise(latents, noise, sigmas).to(batch.conditions.embeddings.dtype)
        with torch.autocast(latents.device.type, rules.autocast, enabled=rules.autocast is not None):
            velocity = predict_velocity(trainee.transformer, noisy, sigmas, batch.conditions, guidance)
        losses.append(flow_matching_loss(velocity, noise - latents, sigmas, rules.loss, batch.mask))
    return torch.stack(losses).mean().item()

"""The loss on pictures that are kept apart: while it falls, more is learned than the trained pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from tuner.dataset.batches import Batch, Item
from tuner.dataset.index import DatasetIndex
from tuner.flux.loss import flow_matching_loss
from tuner.flux.modulation import Asked, foreseen
from tuner.flux.objective import add_noise, draw_guidance, predict_velocity
from tuner.training.feed import Feed, MicroBatch
from tuner.training.hardware import evaluating
from tuner.training.loop import Question, Rules, Trainee

SEED = 0
"""Of the noise, which is the same at every measurement and in every run, so that only the weights differ."""


@torch.no_grad()
def evaluate(trainee: Trainee, feed: Feed, index: DatasetIndex, rules: Rules, num_sigmas: int) -> float:
    """The mean loss over the pictures of `index.evaluation` at `num_sigmas` even noise levels.

    No dice of the run are thrown: `feed` lends its caches and its rules, nothing more.
    """
    transformer = trainee.transformer
    asked = partial(_questions, feed, index, rules, num_sigmas)
    passes = (Asked(one.sigmas, one.guidance, batch.conditions.pooled) for batch, one in asked())
    with (
        evaluating(transformer),
        trainee.finished(),
        foreseen(transformer, passes, rules.autocast),
    ):
        losses = [(_loss(transformer, *one, rules), len(one[1].sigmas)) for one in asked()]
    return sum(loss * num for loss, num in losses) / sum(num for _, num in losses)


def _questions(
    feed: Feed, index: DatasetIndex, rules: Rules, num_sigmas: int
) -> Iterator[tuple[MicroBatch, Question]]:
    """What is asked, the same each time: every picture once at every noise level."""
    dice = torch.Generator(feed.device).manual_seed(SEED)
    quiet = replace(
        feed,
        entries={entry.id: entry for entry in index.evaluation},
        rules=replace(feed.rules, caption_dropout=0.0, mask_probability=1.0),
        dice=torch.Generator().manual_seed(SEED),
    )
    for one in _batches(index):
        batch = quiet.micro_batch(one, 0)
        latents = batch.latents
        for number in range(num_sigmas):
            sigmas = torch.full((len(latents),), (number + 0.5) / num_sigmas, device=latents.device)
            noise = torch.randn(latents.shape, generator=dice, device=latents.device)
            guidance = None if rules.guidance is None else draw_guidance(len(latents), rules.guidance, dice)
            noisy = add_noise(latents, noise, sigmas).to(batch.conditions.embeddings.dtype)
            yield batch, Question(sigmas, guidance, noise, noisy)


def _batches(index: DatasetIndex) -> Iterator[Batch]:
    """Each picture once, with its first caption."""
    for entry in index.evaluation:
        for pictures in entry.buckets.values():
            for start in range(0, len(pictures), entry.batch_size):
                chunk = pictures[start : start + entry.batch_size]
                yield Batch(entry.id, tuple(Item(one, one.captions[0]) for one in chunk))


def _loss(transformer: nn.Module, batch: MicroBatch, asked: Question, rules: Rules) -> float:
    sigmas, guidance, noise, noisy = asked
    with torch.autocast(noisy.device.type, rules.autocast, enabled=rules.autocast is not None):
        velocity = predict_velocity(transformer, noisy, sigmas, batch.conditions, guidance)
    return flow_matching_loss(velocity, noise - batch.latents, sigmas, rules.loss, batch.mask).item()

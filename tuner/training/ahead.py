"""Makes the table of modulation for many steps at once, by a rehearsal of what they will draw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from tuner.errors import EmptyDataset
from tuner.flux.modulation import Asked, modulation_of
from tuner.training.feed import Feed
from tuner.training.loop import Rules, Trainee, question

NUM_BATCHES = 64
"""Micro-batches that one table serves: the layers are read once for so many."""


class Ahead:
    """Nothing to do where the transformer has no table. A pass that was not foreseen makes its own."""

    def __init__(self, trainee: Trainee, feed: Feed, rules: Rules, first_step: int) -> None:
        self._trainee, self._feed, self._rules = trainee, feed, rules
        self._modulation = modulation_of(trainee.transformer)
        self._served = first_step

    def of(self, step: int) -> None:
        """To be called before each step: where the table ends with the step before, makes the next one."""
        if self._modulation is None or step <= self._served:
            return
        rules = self._rules
        last = min(rules.num_steps, step - 1 + max(1, NUM_BATCHES // rules.accumulation))
        self._modulation.prepare_for(self._rehearsed(step, last), rules.autocast)
        self._served = last

    def _rehearsed(self, step: int, last: int) -> Iterator[Asked]:
        """What the steps from `step` to `last` will ask, drawn with the run's own dice, which are then put
        back. Only the end of the data ends it early: that is told when the run itself comes to it.
        """
        with _undone(self._feed, self._trainee.dice), suppress(EmptyDataset):
            batches = iter(self._feed)
            for number in range(step, last + 1):
                for _ in range(self._rules.accumulation):
                    batch = next(batches)
                    asked = question(batch, self._rules, number, self._trainee.dice)
                    yield Asked(asked.sigmas, asked.guidance, batch.conditions.pooled)


@contextmanager
def _undone(feed: Feed, dice: torch.Generator) -> Iterator[None]:
    """Afterwards the position in the data and all dice are where they were."""
    position, feed_dice, noise_dice = feed.batches.state(), feed.dice.get_state(), dice.get_state()
    try:
        yield
    finally:
        feed.batches.load_state(position)
        feed.dice.set_state(feed_dice)
        dice.set_state(noise_dice)

"""Endless batches of pictures with captions: seeded, and resumed with the very next one. Torch-free.

An epoch draws every picture of the datasets that take part exactly `repeats` + 1 times; a dataset whose
window opens or closes within it comes in or stays away from then on. A batch holds pictures of one size of
one dataset; where a bucket does not divide by the batch size, its last batch in each pass is short rather
than filled up with pictures that would then be seen more often than the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from random import Random
from typing import Any

from tuner.dataset import counts
from tuner.dataset.index import DatasetEntry, DatasetIndex, Picture
from tuner.dataset.keys import content_key
from tuner.errors import Advice, EmptyDataset
from tuner.settings.run import RunSettings


@dataclass(frozen=True)
class Item:
    picture: Picture
    caption: str


@dataclass(frozen=True)
class Batch:
    """At least one item; all have the same target size."""

    dataset: str
    items: tuple[Item, ...]


class Batches:
    """An iterator without end. The order follows from the index, the seed and the epoch alone.

    `sampling` weighs the datasets while drawing: "auto-weighting" by probability times the batches that are
    left in this epoch, "uniform" by probability until none are left. `num_items` counts all items so far.
    A step takes `accumulation` batches: the windows of the datasets are in steps.
    """

    def __init__(
        self, index: DatasetIndex, seed: int, sampling: str = "auto-weighting", accumulation: int = 1
    ) -> None:
        if not index.pictures:
            raise ValueError("an index without pictures has no batches")
        self.epoch = 1
        self.num_items = 0
        self._drawn = 0
        self._before = 0
        self._accumulation = accumulation
        self._entries = index.datasets
        self._seed = seed
        self._upcoming: Batch | None = None
        self._by_size = sampling == "auto-weighting"
        self._order = _fingerprint(index, seed, sampling)
        self._stream = self._one_epoch()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        batch, self._upcoming = self.upcoming(), None
        while batch is None:
            self._next_epoch()
            batch = next(self._stream, None)
        self._drawn += 1
        self.num_items += len(batch.items)
        return batch

    def upcoming(self) -> Batch | None:
        """The next batch, which stays the next one; None at the end of an epoch."""
        if self._upcoming is None:
            self._upcoming = next(self._stream, None)
        return self._upcoming

    def state(self) -> dict[str, Any]:
        """Where it stands, as JSON."""
        return {
            "epoch": self.epoch,
            "drawn": self._drawn,
            "before": self._before,
            "accumulation": self._accumulation,
            "items": self.num_items,
            "seed": self._seed,
            "order": self._order,
        }

    def load_state(self, state: Mapping[str, Any]) -> bool:
        """Goes on with the batch after the one that was drawn last before `state()`.

        False where pictures, captions, repeats, batch sizes or the seed are others than then, so that there
        is no such batch: it goes on with a new epoch.
        """
        same = bool(state["order"] == self._order)
        self.num_items = state["items"]
        if same:
            self._go_to(state["epoch"], state["drawn"], state["before"])
        else:
            num_steps = (state["before"] + state["drawn"]) // state["accumulation"]
            self._go_to(state["epoch"] + 1, 0, num_steps * self._accumulation)
        return same

    def _next_epoch(self) -> None:
        if self._drawn == 0 and all(entry.start_epoch <= self.epoch for entry in self._entries):
            num_steps = self._before // self._accumulation
            raise EmptyDataset(
                f"No dataset takes part any more after step {num_steps}.",
                Advice("End the run there.", {"optimization.max_train_steps": num_steps}),
                Advice("Or let a dataset take part for longer: see its 'end_step' and 'end_epoch'."),
            )
        self._go_to(self.epoch + 1, 0, self._before + self._drawn)

    def _go_to(self, epoch: int, drawn: int, before: int) -> None:
        """`drawn` batches into an epoch, `before` batches after the run began."""
        # Drawing again is quick (a million batches take seconds), and leaves no state of dice to be stored.
        self.epoch, self._drawn, self._before = epoch, drawn, before
        self._stream, self._upcoming = islice(self._one_epoch(), drawn, None), None

    def _one_epoch(self) -> Iterator[Batch]:
        dice = Random(f"{self._seed} {self.epoch}")
        streams = [_passes(entry, dice) for entry in self._entries]
        left = [counts.batches(entry) for entry in self._entries]
        for number in count(self._before):
            step = number // self._accumulation + 1
            weights = [
                entry.probability * (num_left if self._by_size else min(num_left, 1))
                if entry.takes_part(self.epoch, step)
                else 0.0
                for entry, num_left in zip(self._entries, left, strict=True)
            ]
            if not any(weights):
                return
            (chosen,) = dice.choices(range(len(streams)), weights)
            left[chosen] -= 1
            yield next(streams[chosen])


def batches_of(index: DatasetIndex, settings: RunSettings) -> Batches:
    """The batches of a run with these settings."""
    asked = settings.optimization
    sampling = settings.dataset.data_backend_sampling
    return Batches(index, asked.seed or 0, sampling, asked.gradient_accumulation_steps)


def _passes(entry: DatasetEntry, dice: Random) -> Iterator[Batch]:
    """One dataset in one epoch: `repeats` + 1 times through all its pictures, each time in a new order."""
    buckets = tuple(entry.buckets.values())
    for _ in range(entry.repeats + 1):
        groups = [group for pictures in buckets for group in _groups(pictures, entry.batch_size, dice)]
        dice.shuffle(groups)
        for group in groups:
            yield Batch(entry.id, tuple(Item(picture, dice.choice(picture.captions)) for picture in group))


def _groups(pictures: Sequence[Picture], size: int, dice: Random) -> Iterator[list[Picture]]:
    shuffled = dice.sample(pictures, len(pictures))
    for start in range(0, len(shuffled), size):
        yield shuffled[start : start + size]


def _fingerprint(index: DatasetIndex, seed: int, sampling: str) -> str:
    """Equal where the same batches are drawn; file names play no part in it."""
    entries = [
        [entry.id, entry.repeats, entry.probability, entry.batch_size]
        + [entry.start_epoch, entry.start_step, entry.end_epoch, entry.end_step]
        + [
            [one.content, one.resize_size, one.target_size, one.crop_top_left, one.captions]
            for one in entry.pictures
        ]
        for entry in index.datasets
    ]
    return content_key(json.dumps([seed, sampling, entries]).encode())

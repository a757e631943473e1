"""Endless batches of pictures with captions: seeded, and resumed with the very next one. Torch-free.

An epoch draws every picture exactly `repeats` + 1 times. A batch holds pictures of one size of one dataset;
where a bucket does not divide by the batch size, its last batch in each pass is short rather than filled up
with pictures that would then be seen more often than the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

from tuner.dataset import counts
from tuner.dataset.index import DatasetEntry, DatasetIndex, Picture
from tuner.dataset.keys import content_key


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
    left in this epoch, "uniform" by probability until none are left.
    """

    def __init__(self, index: DatasetIndex, seed: int, sampling: str = "auto-weighting") -> None:
        if not index.pictures:
            raise ValueError("an index without pictures has no batches")
        self.epoch = 1
        self._drawn = 0
        self._entries = index.datasets
        self._seed = seed
        self._by_size = sampling == "auto-weighting"
        self._order = _fingerprint(index, seed, sampling)
        self._stream = self._one_epoch()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        batch = next(self._stream, None)
        if batch is None:
            self._go_to(self.epoch + 1, 0)
            batch = next(self._stream)
        self._drawn += 1
        return batch

    def state(self) -> dict[str, Any]:
        """Where it stands, as JSON."""
        return {"epoch": self.epoch, "drawn": self._drawn, "order": self._order}

    def load_state(self, state: Mapping[str, Any]) -> bool:
        """Goes on with the batch after the one that was drawn last before `state()`.

        False where pictures, captions, repeats, batch sizes or the seed are others than then, so that there
        is no such batch: it goes on with a new epoch.
        """
        same = bool(state["order"] == self._order)
        if same:
            self._go_to(state["epoch"], state["drawn"])
        else:
            self._go_to(state["epoch"] + 1, 0)
        return same

    def _go_to(self, epoch: int, drawn: int) -> None:
        # Drawing again is quick (a million batches take seconds), and leaves no state of dice to be stored.
        self.epoch, self._drawn = epoch, drawn
        self._stream = islice(self._one_epoch(), drawn, None)

    def _one_epoch(self) -> Iterator[Batch]:
        dice = Random(f"{self._seed} {self.epoch}")
        streams = [_passes(entry, dice) for entry in self._entries]
        left = [counts.batches(entry) for entry in self._entries]
        while any(left):
            weights = [
                entry.probability * (num_left if self._by_size else min(num_left, 1))
                for entry, num_left in zip(self._entries, left, strict=True)
            ]
            (chosen,) = dice.choices(range(len(streams)), weights)
            left[chosen] -= 1
            yield next(streams[chosen])


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
        + [
            [one.content, one.resize_size, one.target_size, one.crop_top_left, one.captions]
            for one in entry.pictures
        ]
        for entry in index.datasets
    ]
    return content_key(json.dumps([seed, sampling, entries]).encode())

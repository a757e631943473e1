"""How long a run lasts, in steps and epochs, when datasets may come and go."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

from tuner.dataset.batches import batches_of
from tuner.dataset.counts import batches
from tuner.dataset.index import DatasetIndex
from tuner.errors import Advice, EmptyDataset
from tuner.settings.run import RunSettings


@dataclass(frozen=True)
class Duration:
    """`steps_per_epoch` are those of the first epoch; `epoch_ends` are the steps with which epochs end."""

    steps_per_epoch: int
    num_steps: int
    num_epochs: int
    epoch_ends: tuple[int, ...] = ()


def duration(index: DatasetIndex, settings: RunSettings) -> Duration:
    """Of a whole run: the steps decide where they are given, else the epochs, each with whole steps.

    Raises EmptyDataset where all datasets have left before its end.
    """
    asked = settings.optimization
    done = first = 0
    ends: list[int] = []
    for epoch, num_batches in enumerate(_lengths(index, settings), start=1):
        steps = math.ceil(num_batches / asked.gradient_accumulation_steps)
        first = first or steps
        done += steps
        ends.append(done)
        if asked.max_train_steps and done >= asked.max_train_steps:
            return Duration(first, asked.max_train_steps, epoch, tuple(ends))
        if not asked.max_train_steps and epoch == asked.num_epochs:
            return Duration(first, done, epoch, tuple(ends))
    raise EmptyDataset(
        f"After step {done} no dataset takes part any more, but the run is to go on.",
        Advice("End it there.", {"optimization.max_train_steps": done, "optimization.num_train_epochs": 0}),
        Advice("Or let a dataset take part for longer: see its 'end_step' and 'end_epoch'."),
    )


def _lengths(index: DatasetIndex, settings: RunSettings) -> Iterator[int]:
    """The batches of each epoch, without end unless all datasets leave."""
    if any(entry.start_step > 1 or entry.end_step for entry in index.datasets):
        return _walked(index, settings)
    return _reckoned(index)


def _reckoned(index: DatasetIndex) -> Iterator[int]:
    sizes = [(entry, batches(entry)) for entry in index.datasets]
    last_change = max(max(entry.start_epoch, entry.end_epoch or 0) for entry in index.datasets)
    for epoch in range(1, last_change + 1):
        yield sum(size for entry, size in sizes if entry.takes_part(epoch, 1))
    for_good = sum(size for entry, size in sizes if not entry.end_epoch)
    if for_good:
        yield from repeat(for_good)


def _walked(index: DatasetIndex, settings: RunSettings) -> Iterator[int]:
    """Which batches a window in steps lets through depends on how the datasets are mixed: it is drawn."""
    stream = batches_of(index, settings)
    drawn, epoch = 0, 1
    try:
        for _ in stream:
            if stream.epoch > epoch:
                yield drawn
                yield from repeat(0, stream.epoch - epoch - 1)
                drawn, epoch = 0, stream.epoch
            drawn += 1
    except EmptyDataset:
        yield drawn

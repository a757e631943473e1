"""How much an epoch holds: samples and batches as they are really drawn, and what would be too few."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tuner.dataset.index import DatasetEntry, DatasetIndex
from tuner.errors import Advice, DatasetTooSmall


@dataclass(frozen=True)
class DatasetCounts:
    """One dataset in one epoch; `buckets` are pictures by size ("1344x768"), repeats not included."""

    id: str
    samples_per_epoch: int
    batches_per_epoch: int
    buckets: dict[str, int]


def counts(index: DatasetIndex) -> tuple[DatasetCounts, ...]:
    """What an epoch holds of each dataset, where it takes part."""
    return tuple(
        DatasetCounts(entry.id, len(entry.pictures) * (entry.repeats + 1), batches(entry), buckets(entry))
        for entry in index.datasets
    )


def batches(entry: DatasetEntry) -> int:
    """Each pass ends every bucket with what is left of it, so the last batch of a bucket may be short."""
    in_one_pass = sum(math.ceil(len(pictures) / entry.batch_size) for pictures in entry.buckets.values())
    return (entry.repeats + 1) * in_one_pass


def buckets(entry: DatasetEntry) -> dict[str, int]:
    """The number of pictures of each size, by its name: "1344x768", or "512x512 + 1024x768" with a reference
    of its own size.
    """
    return {
        " + ".join(f"{width}x{height}" for width, height in bucket): len(pictures)
        for bucket, pictures in entry.buckets.items()
    }


def least_repeats(entry: DatasetEntry, accumulation: int) -> int:
    """The repeats with which every bucket fills one step; not less than those it has."""
    smallest = min(buckets(entry).values())
    return max(math.ceil(entry.batch_size * accumulation / smallest) - 1, entry.repeats)


def require_enough(index: DatasetIndex, accumulation: int) -> None:
    """Raises DatasetTooSmall unless every bucket, repeats included, holds the pictures of one step."""
    least = {entry.id: least_repeats(entry, accumulation) for entry in index.datasets}
    short = [entry for entry in index.datasets if least[entry.id] > entry.repeats]
    if not short:
        return
    raise DatasetTooSmall(
        " ".join(_shortage(entry, accumulation, least[entry.id]) for entry in short),
        Advice("Raise the repeats.", {f"datasets.{entry.id}.repeats": least[entry.id] for entry in short}),
        Advice(
            "Or learn from one picture at a time.",
            {"optimization.train_batch_size": 1, "optimization.gradient_accumulation_steps": 1},
        ),
    )


def _shortage(entry: DatasetEntry, accumulation: int, least: int) -> str:
    needed = entry.batch_size * accumulation
    sizes = [f"{n} of {name}" for name, n in buckets(entry).items() if n * (entry.repeats + 1) < needed]
    return (
        f"Dataset '{entry.id}' has too few pictures of one size ({', '.join(sizes)}; repeats "
        f"{entry.repeats}) for a step of {needed}; its repeats must be at least {least}."
    )

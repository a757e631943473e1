"""Pictures and settings made for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from tuner.dataset.index import DatasetEntry, DatasetIndex, Picture
from tuner.settings.dataset import ImageDataset
from tuner.settings.run import RunSettings

LANDSCAPE, SQUARE = (128, 64), (64, 64)


def entry(name: str, buckets: Iterable[int], repeats: int = 0, batch: int = 1, **about: Any) -> DatasetEntry:
    """A dataset with so many pictures in each bucket; the pictures have no files."""
    pictures = [
        _picture(name, f"{name} {bucket} {number}", (64 * (bucket + 1), 64))
        for bucket, count in enumerate(buckets)
        for number in range(count)
    ]
    return DatasetEntry(name, tuple(pictures), repeats, about.pop("probability", 1.0), batch, **about)


def index(*entries: DatasetEntry) -> DatasetIndex:
    return DatasetIndex(entries)


def _picture(dataset: str, content: str, size: tuple[int, int]) -> Picture:
    captions = (f"{content} one", f"{content} two")
    return Picture(Path(f"{content}.png"), dataset, content, size, size, size, (0, 0), "", captions)


def pictures(folder: Path, *names: str, size: tuple[int, int] = SQUARE) -> Path:
    """Files of different content, without captions."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        colour = (sum(path.name.encode()) % 256, len(name) % 256, size[0] % 256)
        Image.new("RGB", size, colour).save(path)
    return folder


def settings(*datasets: ImageDataset, **common: Any) -> RunSettings:
    """At 64 px, captions from file names, batches of one unless a dataset says otherwise."""
    empty = RunSettings()
    return replace(
        empty,
        dataset=replace(empty.dataset, **{"resolution": 64, "resolution_type": "pixel", **common}),
        optimization=replace(empty.optimization, train_batch_size=1),
        datasets=datasets,
    )


def dataset(folder: Path, name: str = "set", **values: Any) -> ImageDataset:
    return ImageDataset(id=name, instance_data_dir=str(folder), **values)

"""What a scan found: every picture with what becomes of it, and every file that was left out, with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

Size = tuple[int, int]
"""(width, height) in pixels."""


@dataclass(frozen=True)
class Picture:
    """One usable picture of one dataset.

    `crop_top_left` is None where the offset is drawn anew for each run (`crop_style` random); `content` is the hash of
    the file's bytes, so that an edited picture is another picture.
    """

    path: Path
    dataset: str
    content: str
    original_size: Size
    resize_size: Size
    target_size: Size
    crop_top_left: tuple[int, int] | None
    aspect_bucket: str
    captions: tuple[str, ...]


@dataclass(frozen=True)
class LeftOut:
    path: Path
    dataset: str
    reason: str


@dataclass(frozen=True)
class DatasetEntry:
    """One image dataset of multidatabackend.json after the scan; `repeats` are EXTRA passes (0 = once)."""

    id: str
    pictures: tuple[Picture, ...]
    repeats: int
    probability: float
    batch_size: int


@dataclass(frozen=True)
class DatasetIndex:
    datasets: tuple[DatasetEntry, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(p for entry in self.datasets for p in entry.pictures)

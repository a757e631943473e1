"""What a scan found: every picture with what becomes of it, every file that was left out with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tuner.dataset.signs import Signs

Size = tuple[int, int]
"""(width, height) in pixels."""
Cause = Literal["file", "size", "caption", "pair", "bucket", "chosen"]
"""Why a picture is left out: its file, its size, no caption, no companion, too few alike, or the user."""
Bucket = tuple[Size, ...]
"""What can share a batch: the size of a picture, and behind it those of its references."""


@dataclass(frozen=True)
class Placement:
    """`crop_top_left` is None where the offset is drawn for each run."""

    resize_size: Size
    target_size: Size
    crop_top_left: tuple[int, int] | None
    aspect_bucket: str


@dataclass(frozen=True)
class Companion:
    """A picture that belongs to another one: its mask ("mask", "segmentation") or a kontext reference
    ("reference"). `content` is the hash of its bytes; `dataset` the id of its own entry.

    It is resized and cut exactly as its picture, unless it has a `place` of its own.
    """

    path: Path
    content: str
    kind: str
    dataset: str
    original_size: Size
    place: Placement | None = None


@dataclass(frozen=True)
class Picture:
    """One usable picture of one dataset.

    `crop_top_left` is None where the offset is drawn anew for each run (`crop_style` random), until
    `geometry.settle` draws it; `content` is the hash of the file's bytes, so that an edited picture is
    another picture. `original_size` is that of the upright picture, after it was turned by its EXIF note.
    Without a `mask` all of it is trained on. `remarks` are sentences on what is odd about it.
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
    mask: Companion | None = None
    references: tuple[Companion, ...] = ()
    remarks: tuple[str, ...] = ()
    signs: Signs = Signs()

    @property
    def bucket(self) -> Bucket:
        return (self.target_size, *((one.place or self).target_size for one in self.references))

    @property
    def enlargement(self) -> float:
        """How many times larger it is trained on than it is; below 1 where it is made smaller."""
        return self.resize_size[0] / self.original_size[0]

    @property
    def crop_box(self) -> tuple[float, float, float, float] | None:
        """(left, top, right, bottom) of what is trained on, each as a share of the picture; None where all of
        it is, or where the box is drawn for each run.
        """
        if self.crop_top_left is None or self.resize_size == self.target_size:
            return None
        (top, left), (width, height) = self.crop_top_left, self.target_size
        return (
            left / self.resize_size[0],
            top / self.resize_size[1],
            (left + width) / self.resize_size[0],
            (top + height) / self.resize_size[1],
        )


@dataclass(frozen=True)
class LeftOut:
    """A file that is not trained on; `reason` is one sentence, `kind` a word for its cause. Size and content
    are missing where the picture could not be read.
    """

    path: Path
    dataset: str
    reason: str
    original_size: Size | None = None
    kind: Cause = "file"
    content: str = ""


@dataclass(frozen=True)
class DatasetEntry:
    """One image dataset of multidatabackend.json after the scan; `repeats` are EXTRA passes (0 = once).

    `is_regularisation`: these pictures hold the model to what it was. `timestep_offset` is added to the
    normal draw behind a sigmoid schedule. The dataset takes part from `start_epoch` and `start_step` on, up
    to and with `end_epoch` and `end_step` (None: to the end).
    """

    id: str
    pictures: tuple[Picture, ...]
    repeats: int
    probability: float
    batch_size: int
    is_regularisation: bool = False
    timestep_offset: float = 0.0
    start_epoch: int = 1
    start_step: int = 0
    end_epoch: int | None = None
    end_step: int | None = None

    @property
    def buckets(self) -> dict[Bucket, tuple[Picture, ...]]:
        """The pictures by the sizes they are trained at; only pictures of one bucket can share a batch."""
        found: dict[Bucket, list[Picture]] = {}
        for picture in self.pictures:
            found.setdefault(picture.bucket, []).append(picture)
        return {bucket: tuple(pictures) for bucket, pictures in found.items()}

    def takes_part(self, epoch: int, step: int) -> bool:
        """Both count from 1; the step is the one that is being made."""
        begun = epoch >= self.start_epoch and step >= self.start_step
        over = epoch > (self.end_epoch or epoch) or step > (self.end_step or step)
        return begun and not over


@dataclass(frozen=True)
class DatasetIndex:
    """All datasets of a run that hold pictures; `notes` are sentences on what was changed along the way.

    The pictures of `evaluation` are not learned from.
    """

    datasets: tuple[DatasetEntry, ...]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    evaluation: tuple[DatasetEntry, ...] = ()

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Those that are learned from."""
        return tuple(p for entry in self.datasets for p in entry.pictures)

    @property
    def encoded(self) -> tuple[Picture, ...]:
        """Those that are encoded: also the ones that are kept apart, to measure the loss on."""
        return self.pictures + tuple(p for entry in self.evaluation for p in entry.pictures)

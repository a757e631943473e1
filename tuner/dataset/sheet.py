"""What becomes of every picture file, as one JSON object for the `dataset` command and the Images tab."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tuner.dataset.counts import counts
from tuner.dataset.duration import duration
from tuner.dataset.index import DatasetIndex, LeftOut, Picture
from tuner.settings.run import RunSettings


def sheet(index: DatasetIndex, settings: RunSettings) -> dict[str, Any]:
    """`crop_top_left` is null where the offset is drawn; `excluded` says why a file is left out."""
    length = duration(index, settings)
    return {
        "datasets": [asdict(one) for one in counts(index)],
        "steps_per_epoch": length.steps_per_epoch,
        "max_train_steps": length.num_steps,
        "num_train_epochs": length.num_epochs,
        "pictures": [_used(one) for one in index.pictures] + [_excluded(one) for one in index.left_out],
    }


def _used(picture: Picture) -> dict[str, Any]:
    return {
        "file": str(picture.path),
        "dataset": picture.dataset,
        "original_size": picture.original_size,
        "resize_size": picture.resize_size,
        "target_size": picture.target_size,
        "crop_top_left": picture.crop_top_left,
        "aspect_bucket": picture.aspect_bucket,
        "captions": picture.captions,
        "mask": None if picture.mask is None else str(picture.mask.path),
        "reference": _one_or_all([str(one.path) for one in picture.references]),
        "excluded": None,
        "remarks": picture.remarks,
    }


def _one_or_all(paths: list[str]) -> str | list[str] | None:
    return paths if len(paths) > 1 else next(iter(paths), None)


def _excluded(one: LeftOut) -> dict[str, Any]:
    unknown = dict.fromkeys(
        ("resize_size", "target_size", "crop_top_left", "aspect_bucket", "mask", "reference")
    )
    known = {"file": str(one.path), "dataset": one.dataset, "original_size": one.original_size}
    return {**known, **unknown, "captions": (), "excluded": one.reason, "remarks": ()}

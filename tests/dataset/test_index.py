from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.dataset.made import entry, index
from tuner.dataset.index import Companion, Placement


def test_buckets_part_the_pictures_by_exact_size() -> None:
    one = entry("a", [2, 3])
    assert {size: len(pictures) for size, pictures in one.buckets.items()} == {
        ((64, 64),): 2,
        ((128, 64),): 3,
    }
    assert index(one, one).pictures == one.pictures * 2


def test_enlargement() -> None:
    picture = replace(entry("a", [1]).pictures[0], original_size=(32, 32))
    assert picture.enlargement == 2


def test_references_of_other_sizes_part_the_pictures_too(tmp_path: Path) -> None:
    def reference(width: int) -> Companion:
        place = Placement((width, 64), (width, 64), (0, 0), "1.0")
        return Companion(tmp_path, "", "reference", "refs", (width, 64), place)

    one, *others = entry("a", [3]).pictures
    mixed = replace(
        entry("a", [3]),
        pictures=(one, *(replace(other, references=(reference(128),)) for other in others)),
    )
    assert {bucket: len(group) for bucket, group in mixed.buckets.items()} == {
        ((64, 64),): 1,
        ((64, 64), (128, 64)): 2,
    }

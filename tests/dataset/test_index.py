from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.dataset.made import entry, index
from tuner.dataset.index import Companion, DatasetEntry, Picture, Placement


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


def test_the_crop_box_is_a_share_of_the_picture() -> None:
    whole = Picture(Path("a.png"), "set", "c", (200, 100), (128, 64), (128, 64), (0, 0), "2.0", ("a",))
    assert whole.crop_box is None
    cut = replace(whole, target_size=(64, 64), crop_top_left=(0, 32))
    assert cut.crop_box == (0.25, 0.0, 0.75, 1.0)
    assert replace(cut, crop_top_left=None).crop_box is None


def test_windows_take_in_both_ends() -> None:
    entry = DatasetEntry("set", (), 0, 1.0, 1, start_epoch=2, start_step=5, end_epoch=3, end_step=9)
    taking_part = {(e, s) for e in range(1, 6) for s in range(1, 12) if entry.takes_part(e, s)}
    assert taking_part == {(e, s) for e in (2, 3) for s in range(5, 10)}
    assert DatasetEntry("set", (), 0, 1.0, 1).takes_part(99, 99)

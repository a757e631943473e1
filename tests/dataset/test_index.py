from __future__ import annotations

from dataclasses import replace

from tests.dataset.made import entry, index


def test_buckets_part_the_pictures_by_exact_size() -> None:
    one = entry("a", [2, 3])
    assert {size: len(pictures) for size, pictures in one.buckets.items()} == {(64, 64): 2, (128, 64): 3}
    assert index(one, one).pictures == one.pictures * 2


def test_enlargement() -> None:
    picture = replace(entry("a", [1]).pictures[0], original_size=(32, 32))
    assert picture.enlargement == 2

from __future__ import annotations

import pytest

from tests.dataset.made import entry, index
from tuner.dataset.counts import buckets, counts, least_repeats, require_enough
from tuner.errors import DatasetTooSmall


@pytest.mark.parametrize(
    ("sizes", "repeats", "batch", "samples", "batches"),
    [
        ([6], 99, 4, 600, 200),
        ([6], 0, 4, 6, 2),
        ([5, 3], 3, 2, 32, 20),
        ([8], 1, 8, 16, 2),
        ([1], 1000, 1, 1001, 1001),
    ],
)
def test_an_epoch_is_counted_as_it_is_drawn(
    sizes: list[int], repeats: int, batch: int, samples: int, batches: int
) -> None:
    (one,) = counts(index(entry("set", sizes, repeats, batch)))
    assert (one.samples_per_epoch, one.batches_per_epoch) == (samples, batches)
    assert sum(one.buckets.values()) == sum(sizes)


def test_buckets_have_the_names_of_their_sizes() -> None:
    assert buckets(entry("a", [2, 3])) == {"64x64": 2, "128x64": 3}


@pytest.mark.parametrize(
    ("sizes", "repeats", "batch", "accumulation"),
    [([4], 0, 4, 1), ([1], 7, 4, 2), ([3, 3], 2, 3, 3), ([1], 0, 1, 1)],
)
def test_enough(sizes: list[int], repeats: int, batch: int, accumulation: int) -> None:
    enough = index(entry("a", sizes, repeats, batch))
    require_enough(enough, accumulation)
    assert least_repeats(enough.datasets[0], accumulation) <= repeats


@pytest.mark.parametrize(
    ("sizes", "repeats", "batch", "accumulation", "least"),
    [([3], 0, 4, 1, 1), ([1], 6, 4, 2, 7), ([10, 2], 0, 4, 2, 3), ([7], 0, 4, 4, 2)],
)
def test_too_small_names_the_least_repeats(
    sizes: list[int], repeats: int, batch: int, accumulation: int, least: int
) -> None:
    small = entry("small", sizes, repeats, batch)
    with pytest.raises(DatasetTooSmall, match=f"'small'.*at least {least}") as caught:
        require_enough(index(entry("large", [99], batch=batch), small), accumulation)
    assert caught.value.exit_code == 2 and "'large'" not in caught.value.message
    assert caught.value.advice[0].change == {"datasets.small.repeats": least}
    assert least_repeats(small, accumulation) == least
    require_enough(index(entry("small", sizes, least, batch)), accumulation)
    with pytest.raises(DatasetTooSmall):
        require_enough(index(entry("small", sizes, least - 1, batch)), accumulation)


def test_too_small_names_every_size_that_is_short() -> None:
    with pytest.raises(DatasetTooSmall, match=r"2 of 64x64, 3 of 192x64; repeats 0\) for a step of 4"):
        require_enough(index(entry("a", [2, 9, 3], batch=4)), 1)

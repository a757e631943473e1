from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dataset.made import entry, index
from tuner.dataset import counts
from tuner.dataset.batches import Batch, Batches
from tuner.dataset.index import DatasetEntry, DatasetIndex
from tuner.errors import EmptyDataset

THREE = index(
    entry("a", [5, 3], repeats=0, batch=2),
    entry("b", [4, 1], repeats=3, batch=2),
    entry("c", [2, 3], repeats=9, batch=2),
)


def an_epoch(of: DatasetIndex) -> int:
    return sum(map(counts.batches, of.datasets))


def take(batches: Batches, count: int) -> list[Batch]:
    return list(islice(batches, count))


def seen(batches: list[Batch]) -> Counter[str]:
    return Counter(item.picture.content for batch in batches for item in batch.items)


def test_each_picture_is_seen_as_often_as_its_repeats_say() -> None:
    batches = Batches(THREE, seed=1)
    for epoch in (1, 2, 3):
        drawn = seen(take(batches, an_epoch(THREE)))
        assert batches.epoch == epoch
        assert drawn == {one.content: e.repeats + 1 for e in THREE.datasets for one in e.pictures}


def test_a_batch_holds_one_size_of_one_dataset() -> None:
    for batch in take(Batches(THREE, seed=1), 200):
        assert 1 <= len(batch.items) <= 2
        assert {item.picture.dataset for item in batch.items} == {batch.dataset}
        assert len({item.picture.target_size for item in batch.items}) == 1
        assert len({item.picture.content for item in batch.items}) == len(batch.items)


def test_all_passes_of_a_dataset_are_whole() -> None:
    """The second pass begins when the first has shown every picture."""
    batches = take(Batches(index(entry("b", [4, 1], repeats=3, batch=2)), seed=5), 12)
    for start in range(0, 12, 3):
        assert set(seen(batches[start : start + 3]).values()) == {1}


def test_the_seed_makes_the_order() -> None:
    first, again, other = (take(Batches(THREE, seed), 150) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_epochs_differ() -> None:
    batches, count = Batches(THREE, seed=1), an_epoch(THREE)
    assert take(batches, count) != take(batches, count)


def test_every_caption_is_drawn() -> None:
    batches = take(Batches(index(entry("a", [1])), seed=1), 40)
    assert {item.caption for batch in batches for item in batch.items} == {"a 0 0 one", "a 0 0 two"}


@pytest.mark.parametrize("drawn", [0, 1, 37, 69, 70, 71, 200])
def test_a_resume_goes_on_with_the_very_next_batch(drawn: int) -> None:
    whole = take(Batches(THREE, seed=1), drawn + 100)
    begun = Batches(THREE, seed=1)
    take(begun, drawn)
    resumed = Batches(THREE, seed=1)
    assert resumed.load_state(json.loads(json.dumps(begun.state())))
    assert resumed.state() == begun.state()
    assert take(resumed, 100) == whole[drawn:]


def changed(one: DatasetIndex, **values: object) -> DatasetIndex:
    first, *rest = one.datasets
    return DatasetIndex((replace(first, **values), *rest))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "other",
    [
        Batches(THREE, seed=2),
        Batches(THREE, seed=1, sampling="uniform"),
        Batches(changed(THREE, repeats=1), seed=1),
        Batches(changed(THREE, batch_size=1), seed=1),
        Batches(changed(THREE, pictures=THREE.datasets[0].pictures[1:]), seed=1),
        Batches(index(*THREE.datasets[1:]), seed=1),
    ],
)
def test_a_resume_with_other_data_begins_a_new_epoch_and_says_so(other: Batches) -> None:
    begun = Batches(THREE, seed=1)
    take(begun, 10)
    assert not other.load_state(begun.state())
    assert other.epoch == 2
    next(other)
    assert other.state()["drawn"] == 1


def test_renamed_files_change_nothing() -> None:
    moved = tuple(replace(one, path=one.path.with_name("x.png")) for one in THREE.datasets[0].pictures)
    begun = Batches(THREE, seed=1)
    take(begun, 10)
    assert Batches(changed(THREE, pictures=moved), seed=1).load_state(begun.state())


def share_of_a(first: DatasetEntry, second: DatasetEntry, sampling: str) -> float:
    """How much of the first 300 batches comes from the first dataset."""
    batches = take(Batches(index(first, second), 3, sampling), 300)
    return sum(batch.dataset == first.id for batch in batches) / 300


def test_datasets_are_mixed_by_weight() -> None:
    small, large = entry("a", [100], repeats=9), entry("b", [300], repeats=9)
    assert share_of_a(small, large, "auto-weighting") == pytest.approx(0.25, abs=0.08)
    assert share_of_a(small, large, "uniform") == pytest.approx(0.5, abs=0.1)
    likely = replace(small, probability=3.0)
    assert share_of_a(likely, large, "auto-weighting") == pytest.approx(0.5, abs=0.1)
    assert share_of_a(likely, large, "uniform") == pytest.approx(0.75, abs=0.08)


def datasets(batches: list[Batch]) -> str:
    return "".join(batch.dataset for batch in batches)


def test_a_dataset_joins_and_leaves_with_an_epoch() -> None:
    whole, late = entry("a", [3]), entry("b", [2], start_epoch=2, end_epoch=3)
    drawn = datasets(take(Batches(index(whole, late), seed=1), 3 + 5 + 5 + 3 + 3))
    epochs = [drawn[:3], drawn[3:8], drawn[8:13], drawn[13:16], drawn[16:]]
    assert ["".join(sorted(one)) for one in epochs] == ["aaa", "aaabb", "aaabb", "aaa", "aaa"]


def test_a_dataset_joins_and_leaves_with_a_step() -> None:
    """Steps count from 1, both ends belong to the window, and each step takes two batches."""
    whole, some = entry("a", [40]), entry("b", [40], start_step=3, end_step=6)
    drawn = datasets(take(Batches(index(whole, some), seed=1, accumulation=2), 40))
    assert "b" not in drawn[:4] + drawn[12:] and drawn[4:12].count("b") >= 2


def test_a_dataset_that_joins_within_an_epoch_is_seen_whole() -> None:
    whole, late = entry("a", [30]), entry("b", [4], repeats=1, start_step=10)
    batches = Batches(index(whole, late), seed=1)
    drawn = take(batches, 38)
    assert batches.epoch == 1 and seen(drawn)["b 0 0"] == 2
    next(batches)
    assert batches.epoch == 2


def test_epochs_in_which_nothing_takes_part_are_passed_over() -> None:
    batches = Batches(index(entry("a", [2], end_epoch=2), entry("b", [1], start_epoch=5)), seed=1)
    assert datasets(take(batches, 6)) == "aaaabb" and batches.epoch == 6


@pytest.mark.parametrize("window", [{"end_epoch": 2}, {"end_step": 6}])
def test_when_all_have_left_there_is_nothing_more(window: dict[str, int]) -> None:
    batches = Batches(index(entry("a", [3], **window)), seed=1)
    assert len(take(batches, 6)) == 6
    with pytest.raises(EmptyDataset, match="after step 6") as caught:
        next(batches)
    assert caught.value.advice[0].change == {"optimization.max_train_steps": 6}


def windows(seed: int = 1) -> Batches:
    some = index(entry("a", [5, 3], batch=2), entry("b", [4], repeats=1, start_step=4, end_step=9))
    return Batches(some, seed, accumulation=3)


@pytest.mark.parametrize("drawn", [6, 12, 27, 30, 60])
def test_a_resume_keeps_to_the_windows(drawn: int) -> None:
    whole, begun, resumed = take(windows(), drawn + 50), windows(), windows()
    take(begun, drawn)
    assert resumed.load_state(json.loads(json.dumps(begun.state())))
    assert take(resumed, 50) == whole[drawn:] and "b" not in datasets(whole[27:])


def test_other_data_still_knows_the_step() -> None:
    begun, other = windows(), windows(seed=2)
    take(begun, 27)
    assert not other.load_state(begun.state())
    assert "b" not in datasets(take(other, 60))


def test_an_index_without_pictures_is_refused() -> None:
    with pytest.raises(ValueError, match="no batches"):
        Batches(index(), seed=1)


shapes = st.tuples(
    st.lists(st.integers(1, 7), min_size=1, max_size=3),
    st.integers(0, 3),
    st.integers(1, 4),
    st.sampled_from([0.1, 1.0, 5.0]),
)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    st.lists(shapes, min_size=1, max_size=3),
    st.integers(0, 99),
    st.sampled_from(["auto-weighting", "uniform"]),
)
def test_what_is_counted_is_drawn(shapes: list[tuple], seed: int, sampling: str) -> None:
    entries = [
        entry(str(n), sizes, repeats, batch, probability=probability)
        for n, (sizes, repeats, batch, probability) in enumerate(shapes)
    ]
    batches = Batches(index(*entries), seed, sampling)
    drawn = seen(take(batches, an_epoch(index(*entries))))
    assert batches.epoch == 1
    assert drawn == {one.content: e.repeats + 1 for e in entries for one in e.pictures}
    next(batches)
    assert batches.epoch == 2


def test_a_look_at_the_next_batch_changes_nothing() -> None:
    plain, looked_at = Batches(THREE, seed=4), Batches(THREE, seed=4)
    for _ in range(2 * an_epoch(THREE)):
        ahead = looked_at.upcoming()
        assert looked_at.state() == plain.state()
        batch = next(looked_at)
        assert batch == next(plain) and ahead in (batch, None)
    looked_at.upcoming()
    looked_at.load_state(plain.state())
    assert next(looked_at) == next(plain)

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.dataset.made import entry, index
from tuner.dataset.batches import batches_of
from tuner.dataset.duration import Duration, duration
from tuner.dataset.index import DatasetIndex
from tuner.errors import EmptyDataset
from tuner.settings.run import RunSettings


def asked(steps: int | None = None, epochs: int = 0, accumulation: int = 1) -> RunSettings:
    empty = RunSettings()
    return replace(
        empty,
        optimization=replace(
            empty.optimization,
            max_train_steps=steps,
            num_train_epochs=epochs,
            gradient_accumulation_steps=accumulation,
        ),
    )


def test_by_steps_or_by_epochs() -> None:
    one = index(entry("a", [5]))
    assert duration(one, asked(7, accumulation=2)) == Duration(3, 7, 3, (3, 6, 9))
    assert duration(one, asked(epochs=4, accumulation=2)) == Duration(3, 12, 4, (3, 6, 9, 12))


def test_steps_take_the_batches_of_all_datasets() -> None:
    both = index(entry("a", [5], batch=2), entry("b", [4], repeats=1))
    assert duration(both, asked(epochs=1)).num_steps == 11
    assert duration(both, asked(epochs=1, accumulation=4)).num_steps == 3


def test_epochs_differ_where_datasets_come_and_go() -> None:
    some = index(entry("a", [4]), entry("b", [3], start_epoch=2), entry("c", [2], end_epoch=2))
    assert duration(some, asked(epochs=4)) == Duration(6, 29, 4, (6, 15, 22, 29))
    assert duration(some, asked(steps=16)) == Duration(6, 16, 3, (6, 15, 22))
    assert duration(some, asked(steps=15)) == Duration(6, 15, 2, (6, 15))


WINDOWS = index(entry("a", [6]), entry("b", [40], start_step=5, end_step=12), entry("c", [2], start_epoch=3))


@pytest.mark.parametrize("epochs", [1, 2, 3, 5])
def test_windows_in_steps_are_counted_as_they_are_drawn(epochs: int) -> None:
    settings = asked(epochs=epochs)
    batches = batches_of(WINDOWS, settings)
    drawn = 0
    while next(batches) and batches.epoch <= epochs:
        drawn += 1
    assert duration(WINDOWS, settings).num_steps == drawn
    assert duration(WINDOWS, asked(steps=drawn)).num_epochs == epochs


@pytest.mark.parametrize(
    ("some", "last"),
    [
        (index(entry("a", [3], end_epoch=2)), 6),
        (index(entry("a", [3], end_step=5)), 5),
        (index(entry("a", [3], end_epoch=1), entry("b", [4], start_epoch=3, end_epoch=3)), 7),
    ],
)
def test_a_run_that_outlasts_its_datasets_is_refused(some: DatasetIndex, last: int) -> None:
    assert duration(some, asked(steps=last)).num_steps == last
    with pytest.raises(EmptyDataset, match=f"After step {last} no dataset") as caught:
        duration(some, asked(steps=last + 1))
    assert caught.value.advice[0].change["optimization.max_train_steps"] == last

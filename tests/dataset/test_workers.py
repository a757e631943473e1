"""Work by other processes: the same results in the same order, never too far ahead, errors as they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tuner.dataset import workers
from tuner.dataset.decoding import PictureBroken
from tuner.dataset.workers import ahead, are_few
from tuner.errors import Advice, OutOfRam


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def beside(number: int) -> tuple[int, bool]:
    return number * number, os.getppid() == int(os.environ["TEST_PARENT"])


def broken(number: int) -> int:
    if number == 3:
        raise PictureBroken("It is cut off.", Advice("Save it again."))
    return number


def killed(number: int) -> int:
    os._exit(9)


@pytest.mark.parametrize("group", [1, 4])
def test_results_come_in_order_from_other_processes(group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PARENT", str(os.getpid()))
    with ahead(beside, range(11), group) as found:
        assert list(found) == [(number * number, True) for number in range(11)]


def test_here_nothing_is_started() -> None:
    with ahead(lambda number: (number, os.getpid()), range(3), here=True) as found:
        assert list(found) == [(number, os.getpid()) for number in range(3)]
    with ahead(str, []) as found:
        assert list(found) == []


def test_no_more_is_asked_for_than_may_wait() -> None:
    asked: list[list[int]] = []

    class Pool:
        def submit(self, each: object, work: object, items: list[int]) -> Pool:
            asked.append(items)
            self.items = items
            return self

        def result(self) -> list[int]:
            return self.items

    found = workers._in_order(Pool(), int, [[number] for number in range(9)], 3)  # type: ignore[arg-type]
    assert asked == [[0], [1], [2]], "the first ones at once"
    next(found)
    assert len(asked) == 4
    list(found)
    assert len(asked) == 9


def test_an_error_keeps_its_sentence_and_its_advice() -> None:
    with pytest.raises(PictureBroken) as caught, ahead(broken, range(6)) as found:
        list(found)
    assert str(caught.value) == "It is cut off. Save it again."


def test_a_process_that_was_ended_is_told() -> None:
    with pytest.raises(OutOfRam, match="ended by the system"), ahead(killed, range(4)) as found:
        list(found)


def test_what_few_files_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [tmp_path / name for name in "ab"]
    files[0].write_bytes(b"12345")
    assert are_few(files), "one of them is gone, and counts nothing"
    monkeypatch.setattr(workers, "FEW_BYTES", 5)
    assert not are_few(files)
    monkeypatch.setattr(workers, "FEW_BYTES", 6)
    monkeypatch.setattr(workers, "FEW_FILES", 2)
    assert not are_few(files)

"""Pictures are looked at on a thread of their own; who asks too early hears how far it is."""

from __future__ import annotations

import threading
import time

import pytest

from tests.ui.conftest import PATIENCE_SECONDS
from tuner import files, presets
from tuner.dataset.scan import Scanned
from tuner.errors import OutOfRam
from tuner.ui import looking
from tuner.ui.looking import Looking, StillLooking

HERE = presets.settings_of("practice")
THERE = files.changed(HERE, {"datasets.pictures.instance_data_dir": "elsewhere"})


@pytest.fixture
def slow(monkeypatch):
    """A look that goes on, a picture at a time, until it is let go; `said` is how each one ended."""
    let_go, said = threading.Event(), []

    def look(settings, report):
        folder = settings.datasets[0].instance_data_dir
        try:
            for done in range(1000):
                report(done, 1000)
                if let_go.wait(0.01):
                    break
        except BaseException:
            said.append(f"{folder} ended")
            raise
        said.append(folder)
        return [folder]

    monkeypatch.setattr(looking, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(looking.scan, "look", look)
    monkeypatch.setattr(looking.doctor, "examine", lambda scanned, _: (f"of {scanned[0]}",))
    yield let_go, said
    let_go.set()


def until(true) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_who_asks_too_early_is_told_how_far_it_is(slow) -> None:
    let_go, said = slow
    ended = threading.Event()
    look = Looking(ended.set)
    with pytest.raises(StillLooking, match=r"looked at: \d+ of 1,000"):
        look.scanned(HERE)
    assert look.progress[1] == 1000 and not ended.is_set()
    begun = time.monotonic()
    with pytest.raises(StillLooking):
        look.findings(HERE)
    assert time.monotonic() - begun < 1
    let_go.set()
    assert ended.wait(PATIENCE_SECONDS)
    folder = HERE.datasets[0].instance_data_dir
    assert (look.scanned(HERE), look.findings(HERE), look.progress) == ([folder], (f"of {folder}",), None)
    assert said == [folder]


def test_a_newer_folder_ends_the_look_at_the_older_one(slow) -> None:
    let_go, said = slow
    num_ended = []
    look = Looking(lambda: num_ended.append(1))
    for settings in (HERE, THERE):
        with pytest.raises(StillLooking):
            look.scanned(settings)
    until(lambda: said == [f"{HERE.datasets[0].instance_data_dir} ended"])
    let_go.set()
    until(lambda: num_ended == [1])
    assert look.scanned(THERE) == ["elsewhere"]


def test_another_model_only_has_the_doctor_judge_again(slow) -> None:
    let_go, said = slow
    let_go.set()
    look = Looking(lambda: None)
    before = look.scanned(HERE)
    other = files.changed(HERE, {"model.tokenizer_max_length": 64, "optimization.learning_rate": 1e-3})
    assert look.scanned(other) is before and look.findings(other) and len(said) == 1
    look.forget()
    assert look.scanned(other) is not before and len(said) == 2


def test_a_look_that_failed_is_done_again(monkeypatch) -> None:
    answers = [OutOfRam("no memory"), [Scanned(None, (), 0, (), ())]]

    def look(settings, report):
        one = answers.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    monkeypatch.setattr(looking.scan, "look", look)
    one = Looking(lambda: None)
    with pytest.raises(OutOfRam):
        one.findings(HERE)
    assert len(one.scanned(HERE)) == 1 and one.findings(HERE) == ()

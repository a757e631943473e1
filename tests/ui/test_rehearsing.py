"""A rehearsal from the page: on the same road, in no list of runs, and what becomes of the sentence."""

from __future__ import annotations

import time

import pytest

from tests import player
from tests.ui.conftest import PATIENCE_SECONDS
from tuner.errors import RunGoingOn, TunerError
from tuner.ui import recipe_tab, rehearsing
from tuner.ui.sentence import sentence


def wait(desk) -> None:
    """Until the rehearsal is over, and the page has turned away from it."""
    desk.session.join(PATIENCE_SECONDS)
    until = time.monotonic() + PATIENCE_SECONDS
    while desk.folder == desk.session.rehearsal and time.monotonic() < until:
        time.sleep(0.01)


@pytest.fixture
def rehearsed(desk):
    rehearsing.start(desk)
    wait(desk)
    return desk


def test_its_figures_stand_in_the_sentence_until_the_recipe_is_another_one(rehearsed) -> None:
    told = rehearsing.figures(rehearsed)
    assert told is not None and told.step_seconds == player.STEP_SECONDS
    assert "(with samples, as rehearsed)" in sentence(rehearsed)
    rehearsed.draft.change({"optimization.max_train_steps": 9})
    rehearsed.draft.rename("other")
    assert rehearsing.figures(rehearsed) is not None
    rehearsed.draft.change({"adapter.lora_rank": 5})
    assert rehearsing.figures(rehearsed) is None
    assert "rehearsed" not in sentence(rehearsed)


def test_it_is_no_run_and_leaves_nothing_behind(rehearsed) -> None:
    assert rehearsed.session.runs() == [] and rehearsed.known_runs() == {}
    assert rehearsed.view.state == "idle" and rehearsed.folder is None
    folder = rehearsed.session.rehearsal
    assert not folder.checkpoints() and not folder.samples.exists() and not folder.exports.exists()


def test_what_was_shown_before_is_shown_again(finished) -> None:
    rehearsing.start(finished)
    assert finished.view.run == "rehearsal"
    wait(finished)
    assert (finished.view.run, finished.view.state) == ("practice", "finished")


def test_the_page_tells_how_it_goes_and_can_stop_it(desk, monkeypatch) -> None:
    monkeypatch.setattr(player, "STEP_SECONDS", 0.2)
    assert rehearsing.progress(desk) == ""
    stamp = desk.draft.stamp
    rehearsing.start(desk)
    html, button, known = recipe_tab.quick(desk)
    assert "Rehearsal:" in html and 'data-act="stop"' in html and 'role="progressbar"' in html
    assert not button["interactive"] and known == recipe_tab.gr.skip()
    with pytest.raises(TunerError, match="no memory for a rehearsal"):
        rehearsing.start(desk)
    with pytest.raises(RunGoingOn):
        desk.start()
    desk.stop()
    wait(desk)
    _, button, known = recipe_tab.quick(desk)
    assert button["interactive"] and known == desk.draft.stamp != stamp
    assert rehearsing.figures(desk) is None


def test_one_that_fails_shows_the_failure_card(desk, monkeypatch) -> None:
    def fail(*_):
        raise TunerError("It does not go.")

    monkeypatch.setattr(player, "run", fail)
    rehearsing.start(desk)
    wait(desk)
    assert desk.shown_trouble is not None and "does not go" in str(desk.shown_trouble)
    assert desk.view.state == "idle"


def test_what_it_encoded_goes_with_a_new_name(rehearsed) -> None:
    cache = rehearsed.runs / "practice" / "cache" / "text"
    cache.mkdir(parents=True)
    rehearsed.draft.rename("houses")
    assert (rehearsed.runs / "houses" / "cache" / "text").is_dir() and not (
        rehearsed.runs / "practice"
    ).exists()
    rehearsed.draft.choose("practice")
    assert rehearsed.draft.name == "houses"

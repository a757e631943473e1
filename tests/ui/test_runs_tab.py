"""Every run with its true state, and what can be done with it."""

from __future__ import annotations

import pytest

from tests.ui.conftest import PATIENCE_SECONDS
from tuner.errors import TunerError
from tuner.session import Session
from tuner.ui import runs_tab, wording
from tuner.ui.desk import Desk


def test_without_runs_it_says_so(desk) -> None:
    assert wording.NO_RUNS in runs_tab.show(desk)


def test_a_finished_run_can_be_opened(finished) -> None:
    table = runs_tab.show(finished)
    assert "Finished" in table and "6 of 6" in table
    assert 'data-act="open:practice"' in table
    assert "continue:" not in table


def test_a_run_whose_program_was_killed_has_stopped_and_goes_on(desk) -> None:
    """A journal that breaks off: the state on the page comes from the files, never from a stale record."""
    desk.change({"optimization.max_train_steps": 400})
    desk.start()
    desk.stop()
    desk.session.join(PATIENCE_SECONDS)
    assert desk.view.state == "stopped"
    journal = desk.folder.events
    journal.write_bytes(b"\n".join(journal.read_bytes().splitlines()[:-1]) + b'\n{"event": "Step')
    other = Desk(Session(desk.session.root))
    table = runs_tab.show(other)
    assert "Stopped" in table and 'data-act="continue:practice"' in table
    runs_tab.act(other, "continue:practice")
    assert other.view.first_step > 0
    other.stop()
    other.session.join(PATIENCE_SECONDS)


def test_a_run_that_goes_on_is_shown_live(desk) -> None:
    desk.change({"optimization.max_train_steps": 400})
    desk.start()
    table = runs_tab.show(desk)
    assert "Running" in table and "continue:" not in table


def test_a_finished_run_opens_with_its_results(finished) -> None:
    assert runs_tab.act(finished, "open:practice").selected == "results"


@pytest.mark.parametrize("what", ["delete:practice", "open:..", "", "continue:nobody"])
def test_what_the_page_may_not_ask(finished, what) -> None:
    with pytest.raises(TunerError):
        runs_tab.act(finished, what)

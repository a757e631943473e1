"""Runs in turn: after a failure, a refusal, a stop and a restart."""

import json
import sys
import time
from types import SimpleNamespace

import pytest

from tests.recipe import write_recipe
from tuner import files
from tuner.errors import ConfigFileBroken, DiskFull, LossDiverged, TunerError
from tuner.events import RunFinished, RunStarted, RunStopped
from tuner.queue import Queue
from tuner.session import Session

PATIENCE_SECONDS = 30


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A session whose runs end at once, but for those called "long", "bad" and "full", and a recipe a run."""
    monkeypatch.setitem(sys.modules, "tuner.training.run", SimpleNamespace(run=play))
    config = write_recipe(tmp_path)
    for name in ("a", "b", "c", "bad", "full", "long"):
        settings = files.load_all(config).settings
        own = {"saving.output_dir": str(tmp_path / "runs" / name)}
        files.save_all(files.changed(settings, own), tmp_path / "runs" / name / "config")
    session = Session(tmp_path)
    yield session
    session.close()


ORDER: list[str] = []


def play(plan, emit, control) -> None:
    name = plan.folder.name
    ORDER.append(name)
    emit(RunStarted(run=name, phases=("train",), num_steps=plan.num_steps, first_step=plan.first_step))
    if name == "bad":
        raise LossDiverged("The loss is not a number.")
    if name == "full":
        raise DiskFull("The disk is full.")
    if name == "long":
        assert control.stop.wait(PATIENCE_SECONDS)
        emit(RunStopped(step=1))
    else:
        emit(RunFinished(step=plan.num_steps, path=""))


def queue(session: Session) -> Queue:
    ORDER.clear()
    return Queue(session, session.start)


def until(condition) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def names(one: Queue) -> list[str]:
    return [entry.run for entry in one.entries]


def test_runs_go_in_turn_and_on_after_a_failure(room) -> None:
    made = queue(room)
    made.add("long")
    until(lambda: room.running)
    for name in ("bad", "a", "b"):
        made.add(name)
    made.move("b", -1)
    room.stop()
    until(lambda: made.held)
    assert names(made) == ["long", "bad", "b", "a"]
    made.remove("long")
    made.go_on()
    until(lambda: not made.entries)
    assert ORDER == ["long", "bad", "b", "a"]
    assert not made.file.exists()


def test_a_run_that_was_started_by_hand_is_waited_for(room) -> None:
    made = queue(room)
    room.start(room.root / "runs" / "long" / "config")
    made.add("a")
    time.sleep(0.1)
    assert ORDER == ["long"]
    room.stop()
    until(lambda: not made.entries)
    assert ORDER == ["long", "a"]


def test_a_run_that_cannot_start_says_why_and_the_next_one_goes(room) -> None:
    made = queue(room)
    broken = room.root / "runs" / "a" / "config" / "multidatabackend.json"
    text = broken.read_text(encoding="utf-8")
    broken.write_text("[", encoding="utf-8")
    made.hold()
    made.add("a")
    made.add("b")
    until(lambda: [one.refused for one in made.entries if one.refused])
    until(lambda: ORDER == ["b"] and not room.running)
    until(lambda: names(made) == ["a"])
    assert "multidatabackend.json" in made.entries[0].refused
    broken.write_text(text, encoding="utf-8")
    made.go_on()
    until(lambda: not made.entries)


def test_a_full_disk_holds_the_queue(room) -> None:
    made = queue(room)
    made.add("full")
    until(lambda: made.held)
    assert names(made) == ["full"]


def test_it_survives_a_restart_and_then_waits_for_a_word(room) -> None:
    made = queue(room)
    made.add("long")
    until(lambda: room.running)
    made.add("a")
    after = Queue(Session(room.root), room.start)
    assert names(after) == ["long", "a"] and after.held and after.going is None
    room.stop()
    until(lambda: made.held)


def test_what_goes_on_cannot_be_moved_or_passed(room) -> None:
    made = queue(room)
    made.add("long")
    until(lambda: made.going == "long" and room.running)
    made.add("a")
    made.move("a", -1)
    assert names(made) == ["long", "a"]
    for deed in (lambda: made.remove("long"), lambda: made.move("long", 1)):
        with pytest.raises(TunerError, match="going on"):
            deed()
    made.remove("a")
    made.hold()
    room.stop()


def test_what_it_may_not_be_asked(room) -> None:
    made = queue(room)
    with pytest.raises(TunerError):
        made.move("nobody", 1)
    made.file.write_text(json.dumps(["../outside"]), encoding="utf-8")
    with pytest.raises(ConfigFileBroken):
        Queue(room, room.start)

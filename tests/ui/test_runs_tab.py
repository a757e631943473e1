"""Every run with its true state, what can be done with it, and the queue."""

from __future__ import annotations

import time

import pytest

from tests.files.importers.test_catalog import KOHYA, KOHYA_DATASET
from tests.ui.conftest import PATIENCE_SECONDS
from tuner.errors import TunerError
from tuner.session import Session
from tuner.ui import form, runs_tab, shelf, wording
from tuner.ui.desk import Desk


def until(condition) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def stopped(desk):
    """The desk after a run of 400 steps that was stopped."""
    desk.draft.change({"optimization.max_train_steps": 400})
    desk.start()
    desk.stop()
    desk.session.join(PATIENCE_SECONDS)
    assert desk.view.state == "stopped"
    return desk


def test_without_runs_it_says_so(desk) -> None:
    assert wording.NO_RUNS in runs_tab.table(desk)
    assert runs_tab.waiting(desk) == ""


def test_a_finished_run_can_be_opened_and_trained_on(finished) -> None:
    table = runs_tab.table(finished)
    assert "Finished" in table and "6 of 6" in table and "<td>practice</td>" in table
    assert "<img" in table and str(finished.thumbnails) in table
    for deed in ("open", "more", "copy", "folder", "delete"):
        assert f'data-act="{deed}:practice"' in table
    assert "continue:" not in table


def test_a_run_whose_program_was_killed_has_stopped_and_goes_on(stopped) -> None:
    """A journal that breaks off: the state on the page comes from the files, never from a stale record."""
    journal = stopped.folder.events
    journal.write_bytes(b"\n".join(journal.read_bytes().splitlines()[:-1]) + b'\n{"event": "Step')
    other = Desk(Session(stopped.session.root))
    table = runs_tab.table(other)
    assert "Stopped" in table and 'data-act="continue:practice"' in table
    assert runs_tab.press(other, "continue:practice").tab == "train"
    assert other.view.first_step > 0
    other.stop()
    other.session.join(PATIENCE_SECONDS)


def test_a_run_that_goes_on_is_shown_live(desk) -> None:
    desk.draft.change({"optimization.max_train_steps": 400})
    desk.start()
    table = runs_tab.table(desk)
    assert "Running" in table and "continue:" not in table and "delete:" not in table


def test_a_finished_run_opens_with_its_results(finished) -> None:
    assert runs_tab.press(finished, "open:practice").tab == "results"


def test_a_finished_run_is_trained_on(finished) -> None:
    asked = runs_tab.press(finished, "more:practice")
    assert (asked.question, asked.run, asked.steps) == ("more", "practice", 12)
    with pytest.raises(TunerError, match="6 steps already"):
        runs_tab.train_on(finished, "practice", 6)
    assert runs_tab.train_on(finished, "practice", 9).tab == "train"
    finished.session.join(PATIENCE_SECONDS)
    assert (finished.view.first_step, finished.view.step, finished.view.state) == (6, 9, "finished")


def test_a_copy_is_the_same_recipe_under_a_free_name(finished) -> None:
    finished.draft.change({"optimization.learning_rate": 1e-3})
    assert runs_tab.press(finished, "copy:practice").new_recipe
    assert finished.draft.settings.optimization.learning_rate != 1e-3
    assert finished.draft.settings.optimization.max_train_steps == 6
    assert (finished.draft.name, finished.draft.preset) == ("practice-2", "practice")


def test_a_run_is_deleted_where_its_name_is_typed(finished) -> None:
    outside = finished.session.root / "model"
    assert runs_tab.press(finished, "delete:practice").question == "delete"
    with pytest.raises(TunerError, match="type its name"):
        shelf.delete(finished, "practice", "practise")
    assert finished.folder.path.is_dir()
    before = finished.stamp
    shelf.delete(finished, "practice", " practice ")
    assert not (finished.runs / "practice").exists() and outside.is_dir()
    assert finished.folder is None and finished.view.state == "idle" and finished.stamp != before


def test_a_linked_run_is_not_deleted(finished, tmp_path) -> None:
    elsewhere = finished.folder.path.rename(tmp_path / "elsewhere")
    (finished.runs / "practice").symlink_to(elsewhere)
    with pytest.raises(TunerError, match="link"):
        shelf.delete(finished, "practice", "practice")
    assert (elsewhere / "events.jsonl").is_file()


def test_recipes_wait_and_run_in_turn(desk) -> None:
    desk.draft.change({"optimization.max_train_steps": 400})
    desk.start()
    desk.draft.change({"optimization.max_train_steps": 3})
    assert [shelf.enqueue(desk) for _ in range(2)] == ["practice-2", "practice-3"]
    assert desk.draft.name == "practice-4"
    shown = runs_tab.waiting(desk)
    assert 'data-act="up:practice-3"' in shown and wording.QUEUE_GOES in shown
    assert wording.NOT_STARTED in runs_tab.table(desk)
    before = desk.runs_stamp
    runs_tab.press(desk, "up:practice-3")
    assert desk.runs_stamp != before
    with pytest.raises(TunerError, match="goes on or waits"):
        shelf.delete(desk, "practice-2", "practice-2")
    desk.stop()
    until(lambda: not desk.session.running)
    assert 'data-act="release:"' in runs_tab.waiting(desk)
    runs_tab.press(desk, "release:")
    until(lambda: not desk.queue.entries)
    assert desk.view.run == "practice-2" and desk.folder.name == "practice-2"


def test_a_recipe_that_cannot_start_does_not_wait(desk) -> None:
    desk.draft.use_folder("/nowhere/at all")
    with pytest.raises(TunerError, match="nowhere"):
        shelf.enqueue(desk)
    assert desk.queue.entries == ()


def test_a_run_that_goes_on_later_waits(stopped, monkeypatch) -> None:
    stopped.start()
    monkeypatch.setattr(runs_tab.gr, "Info", lambda _: None)
    assert runs_tab.press(stopped, "continue:practice") == runs_tab.Answer()
    assert [one.run for one in stopped.queue.entries] == ["practice"]
    assert "continue:practice" not in runs_tab.table(stopped)
    runs_tab.press(stopped, "out:practice")
    assert stopped.queue.entries == ()


def test_a_broken_queue_is_put_aside(finished) -> None:
    (finished.runs / "queue.json").write_text("{", encoding="utf-8")
    again = Desk(Session(finished.session.root))
    assert "queue-" in again.shown_trouble.message and again.queue.entries == ()
    assert len(list(finished.runs.glob("queue-*.json"))) == 1


def test_the_folder_is_opened_by_the_system(finished, monkeypatch) -> None:
    opened = []
    monkeypatch.setattr(shelf.sys, "platform", "linux")
    monkeypatch.setattr(shelf.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(shelf.subprocess, "Popen", lambda words, **_: opened.append(words))
    runs_tab.press(finished, "folder:practice")
    assert opened == [["/bin/xdg-open", str(finished.folder.path)]]
    monkeypatch.setattr(shelf.shutil, "which", lambda name: None)
    with pytest.raises(TunerError, match="no file manager"):
        runs_tab.press(finished, "folder:practice")


def test_the_configuration_of_another_trainer_becomes_the_recipe(desk, tmp_path) -> None:
    """Each dropped file comes in a folder of its own, as gradio keeps them."""
    dropped = []
    for name, text in (("dataset.toml", KOHYA_DATASET), ("config.toml", KOHYA)):
        path = tmp_path / "dropped" / name.partition(".")[0] / name
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
        dropped.append(str(path))
    said = runs_tab.open_foreign(desk, dropped)
    assert "kohya" in said and "noise_offset" in said and 'data-act="recipe:"' in said
    assert (desk.draft.name, desk.draft.settings.adapter.lora_rank, desk.draft.pictures_folder) == (
        "my_cat",
        8,
        "/data/cat",
    )
    assert runs_tab.press(desk, "recipe:") == runs_tab.Answer("recipe", new_recipe=True)
    with pytest.raises(TunerError, match="dataset.toml"):
        runs_tab.open_foreign(desk, dropped[:1])
    assert runs_tab.open_foreign(desk, None) == ""


def test_the_page_is_told_what_a_press_made_of_it(finished) -> None:
    tab, *rest = runs_tab.told(finished, runs_tab.Answer("recipe", new_recipe=True))
    assert tab.selected == "recipe"
    sections, (_, table, asked, more, _, remove, _) = rest[: len(form.SECTIONS)], rest[len(form.SECTIONS) :]
    assert all(one.open is False for one in sections)
    assert "practice" in table and asked == "" and not more["visible"] and not remove["visible"]
    asking = runs_tab.told(finished, runs_tab.Answer(question="delete", run="practice"))
    assert asking[-5] == "practice" and asking[-2]["visible"] and "practice" in asking[-1]["label"]


@pytest.mark.parametrize(
    "what", ["burn:practice", "open:..", "", "continue:nobody", "out:nobody", "delete:.."]
)
def test_what_the_page_may_not_ask(finished, what) -> None:
    with pytest.raises(TunerError):
        runs_tab.press(finished, what)

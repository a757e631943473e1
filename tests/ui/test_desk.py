"""Runs by name, and trouble with its way out."""

from __future__ import annotations

import json

import pytest

from tests.ui.conftest import PATIENCE_SECONDS
from tuner.errors import Advice, SettingsInvalid, TunerError
from tuner.session import Session
from tuner.ui.desk import Desk


def test_a_run_leaves_its_files_and_the_next_one_gets_a_new_name(finished) -> None:
    assert finished.folder.config.joinpath("config.json").is_file()
    assert finished.view.run == "practice"
    assert finished.draft.name == "practice-2"


def test_a_stopped_run_goes_on_from_the_page(desk) -> None:
    desk.draft.change({"optimization.max_train_steps": 400})
    desk.start()
    desk.stop()
    desk.session.join(PATIENCE_SECONDS)
    assert desk.view.state == "stopped"
    stopped_at = desk.view.step
    desk.resume("practice")
    assert desk.view.first_step == stopped_at
    desk.stop()


def test_an_earlier_run_is_opened_by_its_name(finished) -> None:
    other = Desk(Session(finished.session.root))
    other.open("practice")
    assert other.view.state == "finished"
    assert other.folder.path == finished.folder.path


@pytest.mark.parametrize("name", ["nothing", "../practice", "/etc", ""])
def test_a_run_that_is_none_of_ours_is_refused(finished, name) -> None:
    for deed in (finished.open, finished.resume):
        with pytest.raises(TunerError, match="no run"):
            deed(name)


def test_a_failed_run_shows_its_way_out(desk) -> None:
    desk.draft.rename("fail")
    desk.start()
    desk.session.join(PATIENCE_SECONDS)
    assert "not a number" in desk.shown_trouble.message
    desk.apply(0)
    assert desk.draft.settings.optimization.learning_rate == 1e-5
    assert desk.shown_trouble is None


def test_advice_that_is_gone_is_not_carried_out(desk) -> None:
    desk.report(TunerError("Bad.", Advice("Do less.", {"optimization.train_batch_size": 1})))
    for number in (-1, 1):
        with pytest.raises(TunerError, match="out of date"):
            desk.apply(number)
    assert desk.draft.settings.optimization.train_batch_size == 4


def test_every_problem_with_a_change_becomes_an_advice(desk) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        desk.draft.change({"optimization.optimizer": "adamw_bf1"})
    desk.report(caught.value)
    assert desk.advice[0].change == {"optimization.optimizer": "adamw_bf16"}


def test_the_stamp_moves_with_what_the_page_shows(desk) -> None:
    before = desk.stamp
    assert desk.stamp == before
    desk.report(TunerError("Bad."))
    assert desk.stamp != before


def test_the_size_and_the_time_of_a_run(finished) -> None:
    assert 0.5 < finished.draft.file_mb() < 1.5
    assert finished.seconds(100) == pytest.approx(1.0, rel=0.2)
    finished.draft.change({"optimization.train_batch_size": 2})
    assert finished.seconds(100) is None


def test_the_recipe_of_an_exported_lora_is_taken_over(desk, tmp_path) -> None:
    recipe = {
        "config.json": {"learning_rate": 3e-4, "lora_rank": 7, "model_type": "lora"},
        "multidatabackend.json": [{"id": "pictures", "type": "local", "instance_prompt": "sks cat"}],
    }
    header = json.dumps({"__metadata__": {"fluxtuner.recipe": json.dumps(recipe)}}).encode()
    (tmp_path / "cat.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    pictures = desk.draft.pictures_folder
    assert desk.open_export(tmp_path / "cat.safetensors") == ()
    assert (desk.draft.settings.adapter.lora_rank, desk.draft.settings.optimization.learning_rate) == (
        7,
        3e-4,
    )
    assert (desk.draft.name, desk.draft.pictures_folder, desk.draft.settings.trigger) == (
        "cat",
        pictures,
        "sks cat",
    )


def test_after_a_restart_the_page_shows_the_latest_run(finished) -> None:
    again = Desk(Session(finished.session.root))
    assert (again.view.run, again.view.state) == ("practice", "finished")
    assert again.folder is not None and not again.view.broke_off
    journal = again.folder.events
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-3]))
    cut = Desk(Session(finished.session.root))
    assert (cut.view.state, cut.view.broke_off) == ("stopped", True)

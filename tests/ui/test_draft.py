"""The recipe on disk: a preset with what is the user's own, and presets of one's own."""

from __future__ import annotations

import pytest

from tuner import machine
from tuner.errors import SettingsInvalid, TunerError
from tuner.session import Session
from tuner.settings.sampling import SamplePrompt
from tuner.ui import form
from tuner.ui.desk import Desk


def test_the_recipe_survives_a_restart(desk) -> None:
    desk.draft.change({"optimization.learning_rate": 1e-3})
    again = Desk(Session(desk.session.root))
    assert again.draft.settings.optimization.learning_rate == 1e-3
    assert again.draft.preset == "practice"


def test_without_a_card_the_practice_preset_is_chosen(desk, tmp_path, monkeypatch) -> None:
    reading = machine.Reading(ram_used_gb=1, ram_total_gb=8, process_gb=0.1, disk_free_gb=50)
    monkeypatch.setattr(machine, "read", lambda *_: reading)
    fresh = Desk(Session(tmp_path / "fresh"))
    assert fresh.draft.preset == "practice"
    assert form.differing(fresh.draft.settings, fresh.draft.preset_settings) == ()


def test_a_wrong_change_changes_nothing(desk) -> None:
    with pytest.raises(SettingsInvalid):
        desk.draft.change({"optimization.max_train_steps": 9, "adapter.lora_rank": 0})
    assert desk.draft.settings.optimization.max_train_steps == 6


def test_a_new_name_moves_the_run_folder(desk) -> None:
    desk.draft.rename(" mein Häuschen ")
    assert desk.draft.name == "mein Häuschen"
    assert desk.draft.settings.saving.output_dir == (desk.runs / "mein Häuschen").as_posix()


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", ".hidden", "what?"])
def test_a_name_that_is_no_folder_is_refused(desk, name) -> None:
    with pytest.raises(TunerError, match="name"):
        desk.draft.rename(name)
    assert desk.draft.name == "practice"


def test_a_recipe_that_cannot_be_read_is_put_aside(desk) -> None:
    (desk.draft.folder / "config.json").write_text("{", encoding="utf-8")
    again = Desk(Session(desk.session.root))
    assert again.draft.preset == "practice" and again.draft.settings.datasets
    assert "moved to" in again.shown_trouble.message and "config.json" in again.advice[0].text
    (aside,) = desk.draft.folder.parent.glob("draft-*")
    assert (aside / "config.json").read_text(encoding="utf-8") == "{"


@pytest.fixture
def mine(desk, tmp_path):
    """A desk whose user has chosen pictures, trigger, name and prompts."""
    desk.draft.choose("24gb-int8")
    desk.draft.use_folder(str(tmp_path / "mine"))
    desk.draft.caption_by("textfile")
    desk.draft.use_trigger("zorg")
    desk.draft.rename("my dog")
    desk.draft.change({"library": (SamplePrompt("swims", "<token> swims"),)})
    return desk


def test_another_preset_keeps_what_is_the_users_own(mine, tmp_path) -> None:
    mine.draft.change({"optimization.max_train_steps": 70, "datasets.pictures.resolution": 300})
    mine.draft.choose("8gb-nf4")
    settings = mine.draft.settings
    (pictures,) = settings.active_datasets
    assert (pictures.instance_data_dir, pictures.caption_strategy) == (str(tmp_path / "mine"), "textfile")
    assert (settings.trigger, mine.draft.name) == ("zorg", "my dog")
    assert [one.prompt for one in settings.prompts] == ["zorg swims"]
    preset = mine.draft.preset_settings
    assert settings.optimization == preset.optimization
    assert pictures.resolution == preset.dataset.resolution == 512
    assert [spec.name for spec in form.differing(settings, preset)] == []


def test_the_model_stays_with_presets_of_the_same_model(mine) -> None:
    mine.draft.change({"model.pretrained_model_name_or_path": "there/flux", "model.model_flavour": "krea"})
    mine.draft.choose("16gb-int4")
    assert mine.draft.settings.model.pretrained_model_name_or_path == "there/flux"
    assert mine.draft.settings.flavour.name == "krea"
    mine.draft.choose("practice")
    assert mine.draft.settings.model.pretrained_model_name_or_path == "tuner/practice/model"


def test_a_preset_brings_its_own_pictures_and_name_where_the_user_chose_none(desk) -> None:
    desk.draft.use_trigger("zorg")
    desk.draft.choose("24gb-int8")
    assert desk.draft.pictures_folder == "datasets/my-subject"
    assert (desk.draft.settings.trigger, desk.draft.name) == ("zorg", "24gb-int8")
    assert desk.draft.settings.active_datasets[0].caption_strategy == "instanceprompt"


def test_a_preset_that_there_is_not_is_refused(desk) -> None:
    with pytest.raises(TunerError, match="no preset 'nothing'"):
        desk.draft.choose("nothing")
    assert desk.draft.preset == "practice"


def test_a_recipe_is_kept_as_a_preset_of_ones_own(mine) -> None:
    mine.draft.change({"adapter.lora_rank": 5, "optimization.learning_rate": 3e-4})
    assert mine.draft.save_preset(" dogs ") == "dogs"
    assert mine.draft.preset == "dogs"
    assert form.differing(mine.draft.settings, mine.draft.preset_settings) == ()
    folder = mine.draft.pictures_folder
    mine.draft.choose("24gb-int8")
    assert mine.draft.settings.adapter.lora_rank == 16
    mine.draft.choose("dogs")
    assert (mine.draft.settings.adapter.lora_rank, mine.draft.name) == (5, "my dog")
    assert mine.draft.pictures_folder == folder
    again = Desk(Session(mine.session.root))
    assert (again.draft.preset, again.draft.preset_names[-1]) == ("dogs", "dogs")


def test_a_preset_of_ones_own_holds_no_pictures_and_no_prompts(mine) -> None:
    mine.draft.save_preset("dogs")
    kept = mine.draft.own_presets.settings_of("dogs")
    assert kept.datasets[0].instance_data_dir == "datasets/my-subject"
    assert "swims" not in [one.name for one in kept.library]


def test_a_preset_of_ones_own_can_be_deleted_and_the_recipe_stays(mine) -> None:
    mine.draft.change({"adapter.lora_rank": 5})
    mine.draft.save_preset("dogs")
    mine.draft.delete_preset("dogs")
    assert "dogs" not in mine.draft.preset_names
    assert mine.draft.preset in mine.draft.preset_names
    assert mine.draft.settings.adapter.lora_rank == 5
    for name in ("dogs", "24gb-int8", "..", ""):
        with pytest.raises(TunerError, match="no preset of your own"):
            mine.draft.delete_preset(name)


@pytest.mark.parametrize("name", ["24gb-int8", "", "a/b", ".."])
def test_a_name_that_cannot_be_a_preset_of_ones_own_is_refused(mine, name) -> None:
    with pytest.raises(TunerError, match="name"):
        mine.draft.save_preset(name)

"""The main path of a recipe: cards, fields, prompts, and the sentence with the user's own numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tuner import machine, presets
from tuner.errors import SettingsInvalid
from tuner.machine import Reading
from tuner.ui import expert, recipe_tab
from tuner.ui import recipe_words as words
from tuner.ui.preset_cards import cards
from tuner.ui.sentence import num_files, sentence


def on(monkeypatch, **has: object) -> None:
    """From now on the computer has this, and all of its memory is free."""
    reading = Reading(ram_used_gb=0, ram_total_gb=32, process_gb=0.1, disk_free_gb=50)
    monkeypatch.setattr(machine, "read", lambda *_: replace(reading, **has))


def card_of(shown: str, preset: str) -> str:
    return next(one for one in shown.split("<button")[1:] if f'data-act="{preset}"' in one)


def test_the_chosen_card_is_marked(desk) -> None:
    shown = cards(desk)
    assert shown.count('data-act="') == len(presets.listed())
    assert shown.count('aria-pressed="true"') == 1
    assert 'data-act="practice" aria-pressed="true"' in shown


def test_each_card_says_whether_it_fits(desk, monkeypatch) -> None:
    on(monkeypatch, vram_total_gb=12.0, vram_used_gb=0.4, gpu_name="NVIDIA GeForce RTX 3060")
    shown = cards(desk)
    assert shown.count("for your NVIDIA GeForce RTX 3060") == 1
    mine = card_of(shown, "12gb-nf4")
    assert ">fits<" in mine and "for your NVIDIA" in mine and "file of about 105 MB" in mine
    assert ">tight<" in card_of(shown, "24gb-int8")
    assert "the modulation layers off the card" in card_of(shown, "24gb-int8")
    assert ">will not fit<" in card_of(shown, "80gb-bf16")
    assert "about 34 GB VRAM" in card_of(shown, "80gb-bf16")


def test_without_a_card_practice_is_for_this_computer(desk, monkeypatch) -> None:
    on(monkeypatch)
    shown = cards(desk)
    assert "for this computer" in card_of(shown, "practice")
    assert shown.count(">will not fit<") == len(presets.listed()) - 1


def test_a_card_says_how_long_where_an_earlier_run_tells(finished, monkeypatch) -> None:
    settings = finished.draft.settings
    monkeypatch.setattr(presets, "settings_of", lambda _: settings)
    assert finished.preset_seconds(presets.listed()[0]) is not None


def test_what_a_run_takes_is_free_for_the_next_one(desk, monkeypatch) -> None:
    on(monkeypatch, vram_total_gb=24.0, vram_used_gb=0.5)
    assert desk.computer.vram_used_gb == 0.5
    monkeypatch.setattr(type(desk.session), "running", property(lambda _: True))
    on(monkeypatch, vram_total_gb=24.0, vram_used_gb=22.0)
    assert desk.computer.vram_used_gb == 0.5


def test_the_sentence_before_and_after_a_run_of_the_same_kind(finished, monkeypatch) -> None:
    on(monkeypatch)
    said = sentence(finished)
    assert "10 images × 2.4 passes = 6 steps of 4 images, about 0 s (as an earlier run here), peak" in said
    assert "of 32 GB RAM (forecast), one file of about 0.76 MB." in said
    finished.draft.change({"optimization.train_batch_size": 2})
    assert "passes = 6 steps of 2 images, peak" in sentence(finished)


def test_the_sentence_names_the_card_and_how_many_files_there_will_be(desk, monkeypatch) -> None:
    on(monkeypatch, vram_total_gb=12.0, vram_used_gb=0.4)
    desk.draft.change({"optimization.max_train_steps": 250})
    assert "of 12 GB VRAM (forecast), 2 files of about 0.76 MB to choose from." in sentence(desk)


@pytest.mark.parametrize(("every", "limit", "num"), [(100, 0, 4), (100, 2, 2), (0, 5, 1), (500, 5, 1)])
def test_as_many_files_as_checkpoints_are_kept(desk, every, limit, num) -> None:
    desk.draft.change({"saving.checkpoint_step_interval": every, "saving.checkpoints_total_limit": limit})
    assert num_files(desk.draft.settings, 350) == num


def test_the_sentence_says_what_stands_in_the_way(desk, tmp_path) -> None:
    desk.draft.use_folder(str(tmp_path / "nowhere"))
    assert 'role="alert"' in sentence(desk)


def test_before_there_are_pictures_the_sentence_asks_for_them(desk) -> None:
    desk.draft.choose("24gb-int8")
    assert words.NO_PICTURES in sentence(desk) and "alert" not in sentence(desk)


def test_fields_become_settings(desk) -> None:
    fields = {"name": "mine", "steps": 40, "resolution": 128, "rate": 1e-3, "rank": 4, "prompts": "a sks"}
    fields |= {"size": "64x96", "seed": 3}
    recipe_tab.take(desk, fields)
    settings = desk.draft.settings
    assert desk.draft.name == "mine"
    assert settings.optimization.max_train_steps == 40
    assert settings.active_datasets[0].resolution == 128
    assert (settings.optimization.learning_rate, settings.adapter.lora_rank) == (1e-3, 4)
    assert [one.prompt for one in settings.library] == ["a <token>"]
    assert recipe_tab.values(desk) == fields


def test_no_steps_means_that_the_epochs_decide(desk) -> None:
    recipe_tab.take(desk, {"steps": None})
    assert desk.draft.plan().num_steps == 3


def test_fields_that_were_not_touched_change_nothing(desk) -> None:
    stamp = desk.stamp
    recipe_tab.take(desk, recipe_tab.values(desk))
    assert desk.stamp == stamp


def test_a_wrong_field_is_refused(desk) -> None:
    with pytest.raises(SettingsInvalid, match="lora_rank"):
        recipe_tab.edit(desk, "rank", 0)


def test_what_differs_from_the_preset_is_listed(desk) -> None:
    shown = expert.differences(desk.draft.settings, desk.draft.preset_settings)
    assert f"<td>{desk.draft.preset_settings.optimization.max_train_steps}</td><td>6</td>" in shown
    assert words.AS_PRESET in expert.differences(desk.draft.settings, desk.draft.settings)


def test_choosing_a_preset_begins_anew(desk) -> None:
    values = recipe_tab.press(desk, "practice")
    assert values[2]["value"] == desk.draft.preset_settings.optimization.max_train_steps != 6
    assert len(values) == 19 + len(expert.shut_values())


def test_a_preset_of_ones_own_is_a_card_that_can_be_deleted(desk, monkeypatch) -> None:
    on(monkeypatch, vram_total_gb=12.0, vram_used_gb=0.4)
    assert words.OWN_PRESETS not in cards(desk)
    desk.draft.change({"optimization.max_train_steps": 7})
    desk.draft.save_preset("little & house")
    mine = cards(desk).partition(words.OWN_PRESETS)[2]
    assert ">fits<" in mine and "7 steps, 64 px, rate 0.0005" in mine and 'aria-pressed="true"' in mine
    assert "little &amp; house" in mine and "little & house" not in mine
    recipe_tab.press(desk, "forget:little & house")
    assert words.OWN_PRESETS not in cards(desk)
    assert desk.draft.settings.optimization.max_train_steps == 7


def test_a_preset_of_ones_own_that_cannot_be_read_says_why(desk) -> None:
    desk.draft.save_preset("mine")
    desk.draft.choose("practice")
    (desk.draft.own_presets.folder / "mine" / "config.json").write_text("{", encoding="utf-8")
    assert "stops in the middle" in cards(desk) and "Delete mine" in cards(desk)


def test_turning_a_dial_changes_the_numbers_and_the_sentence(desk) -> None:
    steps, _, rate, rank, _, _, said, *_ = recipe_tab.turn(desk, "length", "thorough")
    assert (steps, rate, rank) == (1000, 5e-4, 16) and "= 1,000 steps" in said
    *_, length, detail, strength, adapter, kind, differs = recipe_tab.turn(desk, "strength", "gentle")
    assert [one["value"] for one in (length, detail, strength, adapter)] == [
        "thorough",
        "64",
        "gentle",
        "lora",
    ]
    assert "Rank" in differs and kind["value"] == "preset"


def test_a_dial_shows_what_was_set_by_hand(desk) -> None:
    length = recipe_tab.edit(desk, "steps", 1234)[2]
    assert length["value"] == "own"
    assert ("Own: 1,234 steps, each picture 494 times", "own") in length["choices"]
    before = desk.draft.stamp
    recipe_tab.turn(desk, "length", "own")
    assert desk.draft.stamp == before


def test_a_field_that_is_left_as_it_was_changes_nothing(desk) -> None:
    assert recipe_tab.edit(desk, "steps", 6) == recipe_tab.gr.skip()


def test_prompts_of_a_kind_are_filled_in_with_the_trigger(desk) -> None:
    lines, _, _, *_, kind, _ = recipe_tab.fill_prompts(desk, "a person")
    assert lines.count("sks") == 3 and len(lines.splitlines()) == 4
    assert kind["value"] == "a person"
    desk.draft.use_trigger("zorg")
    assert "zorg" in recipe_tab.values(desk)["prompts"]


def test_a_tab_that_is_up_to_date_is_left_alone(desk) -> None:
    """What is being typed must not be overwritten; what another tab changed must show."""
    seen = recipe_tab.outlook(desk)[0]
    assert recipe_tab.refresh(desk, seen) == recipe_tab.gr.skip()
    seen = recipe_tab.edit(desk, "rank", 8)[0]
    assert recipe_tab.refresh(desk, seen) == recipe_tab.gr.skip()
    desk.draft.rename("elsewhere")
    assert recipe_tab.refresh(desk, seen)[1]["value"] == "elsewhere"

"""The main path of a recipe: cards, fields, prompts, and the sentence with the user's own numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tuner import machine, presets
from tuner.errors import SettingsInvalid
from tuner.machine import Reading
from tuner.settings.sampling import SamplePrompt
from tuner.ui import recipe_tab


def on(monkeypatch, **has: object) -> None:
    """From now on the computer has this, and all of its memory is free."""
    reading = Reading(ram_used_gb=0, ram_total_gb=32, process_gb=0.1, disk_free_gb=50)
    monkeypatch.setattr(machine, "read", lambda *_: replace(reading, **has))


def card_of(cards: str, preset: str) -> str:
    return next(one for one in cards.split("<button")[1:] if f'data-act="{preset}"' in one)


def test_the_chosen_card_is_marked(desk) -> None:
    cards = recipe_tab.cards(desk)
    assert cards.count('data-act="') == len(presets.listed())
    assert cards.count('aria-pressed="true"') == 1
    assert 'data-act="practice" aria-pressed="true"' in cards


def test_each_card_says_whether_it_fits(desk, monkeypatch) -> None:
    on(monkeypatch, vram_total_gb=12.0, vram_used_gb=0.4, gpu_name="NVIDIA GeForce RTX 3060")
    cards = recipe_tab.cards(desk)
    assert cards.count("for your NVIDIA GeForce RTX 3060") == 1
    mine = card_of(cards, "12gb-nf4")
    assert ">fits<" in mine and "for your NVIDIA" in mine and "file of about 105 MB" in mine
    assert ">tight<" in card_of(cards, "24gb-int8")
    assert "the modulation layers off the card" in card_of(cards, "24gb-int8")
    assert ">will not fit<" in card_of(cards, "80gb-bf16")
    assert "about 36 GB VRAM" in card_of(cards, "80gb-bf16")


def test_without_a_card_practice_is_for_this_computer(desk, monkeypatch) -> None:
    on(monkeypatch)
    cards = recipe_tab.cards(desk)
    assert "for this computer" in card_of(cards, "practice")
    assert cards.count(">will not fit<") == len(presets.listed()) - 1


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


def test_the_sentence_before_and_after_a_run_of_the_same_kind(finished) -> None:
    assert (
        "10 images × 2.4 passes = 6 steps of 4 images, about 0 s, one file of about 0.76 MB"
        in recipe_tab.sentence(finished)
    )
    finished.draft.change({"optimization.train_batch_size": 2})
    assert "passes = 6 steps of 2 images, one file" in recipe_tab.sentence(finished)


def test_the_sentence_says_what_stands_in_the_way(desk, tmp_path) -> None:
    desk.draft.use_folder(str(tmp_path / "nowhere"))
    assert 'role="alert"' in recipe_tab.sentence(desk)


def test_fields_become_settings(desk) -> None:
    fields = {"name": "mine", "steps": 40, "resolution": 128, "rate": 1e-3, "rank": 4, "prompts": "a sks"}
    recipe_tab.take(desk, fields)
    settings = desk.draft.settings
    assert desk.draft.name == "mine"
    assert settings.optimization.max_train_steps == 40
    assert settings.active_datasets[0].resolution == 128
    assert (settings.optimization.learning_rate, settings.adapter.lora_rank) == (1e-3, 4)
    assert [one.prompt for one in settings.library] == ["a sks"]
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


def test_prompts_keep_their_names_and_new_ones_get_one() -> None:
    before = (SamplePrompt("green", "a <token> on green"),)
    made = recipe_tab.library("A dog!\na <token> on green\n\nA dog?\nA dog!\n日本", before)
    assert made == (
        SamplePrompt("a-dog", "A dog!"),
        SamplePrompt("green", "a <token> on green"),
        SamplePrompt("a-dog-2", "A dog?"),
        SamplePrompt("prompt", "日本"),
    )


def test_what_differs_from_the_preset_is_listed(desk) -> None:
    shown = recipe_tab.differences(desk.draft.settings, desk.draft.preset_settings)
    assert f"<td>{desk.draft.preset_settings.optimization.max_train_steps}</td><td>6</td>" in shown
    assert recipe_tab.wording.AS_PRESET in recipe_tab.differences(desk.draft.settings, desk.draft.settings)


def test_choosing_a_preset_begins_anew(desk) -> None:
    values = recipe_tab.choose(desk, "practice")
    assert values[2]["value"] == desk.draft.preset_settings.optimization.max_train_steps != 6
    assert len(values) == 12 + len(recipe_tab.form.SECTIONS)


def test_a_tab_that_is_up_to_date_is_left_alone(desk) -> None:
    """What is being typed must not be overwritten; what another tab changed must show."""
    seen = recipe_tab.outlook(desk)[0]
    assert recipe_tab.refresh(desk, seen) == recipe_tab.gr.skip()
    seen = recipe_tab.edit(desk, "rank", 8)[0]
    assert recipe_tab.refresh(desk, seen) == recipe_tab.gr.skip()
    desk.draft.rename("elsewhere")
    assert recipe_tab.refresh(desk, seen)[1]["value"] == "elsewhere"

"""Sample prompts as lines with the trigger in them, and back; the library by kind."""

from __future__ import annotations

import pytest

from tuner import presets
from tuner.files import changed
from tuner.settings.dataset import ImageDataset
from tuner.settings.prompts import BY_KIND
from tuner.settings.run import TOKEN, RunSettings
from tuner.settings.sampling import SamplePrompt
from tuner.ui import prompts_part

SETTINGS = RunSettings(
    datasets=(ImageDataset(id="a", instance_data_dir="there", instance_prompt="sks"),),
    library=(SamplePrompt("green", "a <token> on green"), SamplePrompt("old", "sks, as written", 0.5)),
)


def test_prompts_are_shown_with_the_trigger() -> None:
    assert prompts_part.lines(SETTINGS) == "a sks on green\nsks, as written"
    nobody = changed(SETTINGS, {"datasets.a.instance_prompt": None})
    assert prompts_part.lines(nobody).startswith("a <token> on green")


def test_prompts_keep_their_names_and_new_ones_get_one() -> None:
    made = prompts_part.library("A dog!\na sks on green\n\nA dog?\nA dog!\n日本\nsks, as written", SETTINGS)
    assert made == (
        SamplePrompt("a-dog", "A dog!"),
        SETTINGS.library[0],
        SamplePrompt("a-dog-2", "A dog?"),
        SamplePrompt("prompt", "日本"),
        SETTINGS.library[1],
    )


def test_in_a_new_prompt_the_trigger_stays_a_trigger() -> None:
    (made,) = prompts_part.library("the sks, not asks or sks2", SETTINGS)
    assert made == SamplePrompt("the-not-asks-or-sks2", "the <token>, not asks or sks2")


def test_the_kind_is_told_by_the_prompts() -> None:
    for kind in BY_KIND:
        filled = changed(SETTINGS, prompts_part.of_kind(SETTINGS, kind))
        choices, on = prompts_part.kinds(filled, SETTINGS)
        assert on == kind and (kind, kind) in choices and "own" not in [name for _, name in choices]
        assert prompts_part.kinds(filled, filled)[1] == "preset"
    assert prompts_part.kinds(changed(SETTINGS, {"library": ()}), SETTINGS)[1] == "own"


@pytest.mark.parametrize("kind", BY_KIND)
def test_each_kind_has_prompts_with_the_trigger_and_one_without(kind: str) -> None:
    prompts = BY_KIND[kind]
    assert len({one.name for one in prompts}) == len({one.prompt for one in prompts}) == len(prompts)
    assert [TOKEN in one.prompt for one in prompts] == [True, True, True, False]
    assert all(len(one.prompt) > 60 for one in prompts), "FLUX makes the same picture of short prompts"


@pytest.mark.parametrize("preset", [one.name for one in presets.listed()])
def test_each_preset_has_a_prompt_without_the_trigger(preset: str) -> None:
    assert "control" in [one.name for one in presets.settings_of(preset).library if TOKEN not in one.prompt]

"""The four dials: each position says its figures, does what it says, and is recognized again."""

from __future__ import annotations

import pytest

from tuner import presets
from tuner.files import changed
from tuner.ui import dials
from tuner.ui.dials import DIALS, Dial, Recipe

PRESETS = [one.name for one in presets.listed()]


def recipe(preset: str, change=None, num_pictures: int = 20) -> Recipe:
    settings = presets.settings_of(preset)
    return Recipe(changed(settings, change or {}), settings, num_pictures)


def turned(before: Recipe, name: str, position: str) -> Recipe:
    dial = next(one for one in DIALS if one.name == name)
    settings = changed(before.settings, dial.change(before, position))
    return Recipe(settings, before.preset, before.num_pictures)


def on(one: Recipe, name: str) -> str:
    return next(dial for dial in DIALS if dial.name == name).shown(one)[1]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("dial", DIALS, ids=lambda dial: dial.name)
def test_every_position_of_every_preset_is_where_it_was_turned_to(preset: str, dial: Dial) -> None:
    start = recipe(preset)
    choices, first = dial.shown(start)
    assert first != dials.OWN and first in [name for _, name in choices]
    for words, name in choices:
        there = turned(start, dial.name, name)
        assert (words, name) in dial.shown(there)[0]
        assert dial.shown(there)[1] == name
        assert all(other.shown(there)[1] != dials.OWN for other in DIALS)


def test_the_figures_are_the_users_own() -> None:
    choices = DIALS[0].shown(recipe("24gb-int8", num_pictures=24))[0]
    assert choices == [
        ("Quick: 1,000 steps, each picture 42 times", "quick"),
        ("Normal: 2,000 steps, each picture 83 times", "normal"),
        ("Thorough: 4,000 steps, each picture 167 times", "thorough"),
    ]


@pytest.mark.parametrize(("num_pictures", "steps"), [(2, 1000), (20, 2000), (500, 5000), (0, 2000)])
def test_few_pictures_are_seen_no_more_and_many_no_less_than_makes_sense(num_pictures, steps) -> None:
    there = turned(recipe("24gb-int8", num_pictures=num_pictures), "length", "normal")
    assert there.settings.optimization.max_train_steps == steps


def test_what_is_set_by_hand_is_told_beside_the_positions() -> None:
    one = recipe("24gb-int8", {"optimization.max_train_steps": 1234})
    choices, where = DIALS[0].shown(one)
    assert where == dials.OWN and choices[-1] == ("Own: 1,234 steps, each picture 62 times", dials.OWN)
    assert DIALS[0].change(one, dials.OWN) == {}
    assert (
        on(
            recipe("24gb-int8", {"optimization.max_train_steps": None, "optimization.num_train_epochs": 3}),
            "length",
        )
        == dials.OWN
    )
    assert on(recipe("24gb-int8", {"optimization.learning_rate": 3e-4}), "strength") == dials.OWN
    assert on(recipe("24gb-int8", {"dataset.resolution": 900}), "detail") == dials.OWN


def test_detail_takes_the_samples_with_it() -> None:
    there = turned(recipe("24gb-int8"), "detail", "512").settings
    assert (there.dataset.resolution, there.sampling.validation_resolution) == (512, "512x512")
    wide = recipe("24gb-int8", {"sampling.validation_resolution": "1216x832"})
    assert turned(wide, "detail", "512").settings.sampling.validation_resolution == "1216x832"


def test_detail_reaches_datasets_with_a_size_of_their_own() -> None:
    one = recipe("24gb-int8", {"datasets.pictures.resolution": 300})
    assert on(one, "detail") == dials.OWN
    assert turned(one, "detail", "768").settings.active_datasets[0].resolution == 768


def test_a_lokr_is_the_guides_with_its_learning_rate() -> None:
    for preset, rate in (("24gb-int8", 1e-3), ("10gb-nf4", 2e-4)):
        there = turned(recipe(preset), "adapter", "lokr").settings
        assert there.adapter.lora_type == "lycoris"
        assert there.lycoris["algo"] == "lokr" and there.lycoris["factor"] == 16
        assert there.lycoris["apply_preset"]["module_algo_map"]["FeedForward"] == {"factor": 8}
        assert there.optimization.learning_rate == rate


def test_the_strength_stays_when_the_adapter_changes_and_back() -> None:
    strong = turned(recipe("24gb-int8"), "strength", "strong")
    assert (strong.settings.optimization.learning_rate, strong.settings.adapter.lora_rank) == (2e-4, 32)
    lokr = turned(strong, "adapter", "lokr")
    assert lokr.settings.optimization.learning_rate == 2e-3 and on(lokr, "strength") == "strong"
    assert turned(lokr, "adapter", "lora").settings.optimization == strong.settings.optimization


def test_an_adapter_that_is_on_no_dial_is_named() -> None:
    change = {"adapter.lora_type": "lycoris", "lycoris": {"algo": "loha", "linear_dim": 8}}
    one = recipe("practice", change)
    choices, where = DIALS[3].shown(one)
    assert where == dials.OWN and choices[-1][0].startswith("Own: loha, file of about")
    assert on(one, "strength") == "normal"


def test_an_optimizer_that_finds_its_rate_is_told_only_the_rank() -> None:
    one = recipe("24gb-int8", {"optimization.optimizer": "prodigy"})
    assert DIALS[2].shown(one)[0][0] == ("Gentle: rank 8", "gentle")
    assert "optimization.learning_rate" not in DIALS[2].change(one, "strong")

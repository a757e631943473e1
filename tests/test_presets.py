"""Every preset is whole, reads back without a complaint, and says only what differs."""

from __future__ import annotations

import json
from dataclasses import replace
from math import ceil
from pathlib import Path

import pytest

from tuner import presets
from tuner.errors import SettingsInvalid, TunerError
from tuner.files import load_all
from tuner.files.config_json import NAME
from tuner.files.run_folder import RunFolder
from tuner.machine import Reading
from tuner.plan import fitting
from tuner.plan.memory import forecast
from tuner.presets import Preset
from tuner.settings.run import specs

FIVE = {
    "config.json",
    "lycoris_config.json",
    "multidatabackend.json",
    "user_prompt_library.json",
    "config.env",
}


@pytest.mark.parametrize("preset", presets.listed(), ids=lambda preset: preset.name)
def test_a_preset_loads_without_a_note(preset: Preset, tmp_path: Path) -> None:
    folder = presets.apply(preset.name, tmp_path / "config")
    assert {path.name for path in folder.iterdir()} == FIVE
    loaded = load_all(tmp_path)
    assert loaded.notes == ()
    assert loaded.settings.unused == {}
    assert loaded.settings.trigger and loaded.settings.prompts
    assert not any("<token>" in one.prompt for one in loaded.settings.prompts)


@pytest.mark.parametrize("preset", presets.listed(), ids=lambda preset: preset.name)
def test_a_preset_says_only_what_differs(preset: Preset) -> None:
    own = presets.FOLDER / preset.name
    assert {path.name for path in own.iterdir()} <= {*FIVE, "preset.json"}
    base = json.loads((presets.BASE / NAME).read_text(encoding="utf-8"))
    words = json.loads((own / NAME).read_text(encoding="utf-8"))
    assert [key for key, value in words.items() if base.get(key, "not there") == value] == []
    assert {*base, *words} <= {spec.name for spec in specs()}


@pytest.mark.parametrize("preset", presets.listed(), ids=lambda preset: preset.name)
def test_a_preset_speaks_to_people(preset: Preset) -> None:
    assert preset.title and preset.card and preset.summary.endswith(".")
    assert preset.whence.split(":")[0].split(" ")[0] in ("measured", "quoted", "forecast")
    assert preset.ram_gb > 0


def test_the_base_is_complete() -> None:
    assert {path.name for path in presets.BASE.iterdir()} == FIVE


def test_the_practice_recipe(tmp_path: Path) -> None:
    settings = load_all(presets.apply("practice", tmp_path)).settings
    assert settings.model.pretrained_model_name_or_path == "tuner/practice/model"
    assert (settings.adapter.lora_rank, settings.adapter.lora_alpha, settings.adapter.lora_dropout) == (
        16,
        None,
        0,
    )
    choice = settings.optimization
    assert (choice.learning_rate, choice.max_train_steps, choice.train_batch_size) == (5e-4, 500, 4)
    assert (choice.max_grad_norm, choice.grad_clip_method, choice.seed) == (1.0, "norm", 42)
    assert settings.objective.flow_schedule_shift == 0 and settings.objective.caption_dropout_probability == 0
    assert settings.model.mixed_precision == settings.environment["MIXED_PRECISION"] == "no"
    (pictures,) = settings.active_datasets
    assert (pictures.resolution, pictures.resolution_type, pictures.caption_strategy) == (
        64,
        "pixel",
        "textfile",
    )
    assert settings.trigger == "sks"
    assert [one.prompt for one in settings.prompts][-1] == "a purple umbrella on a gray background"
    assert RunFolder(Path(settings.saving.output_dir)).name == "practice"


def test_apply_with_changes(tmp_path: Path) -> None:
    change = {
        "saving.output_dir": "runs/other",
        "datasets.pictures.instance_data_dir": "späce ünï",
        "model.mixed_precision": "bf16",
    }
    settings = load_all(presets.apply("practice", tmp_path, change)).settings
    assert settings.saving.output_dir == "runs/other"
    assert settings.datasets[0].instance_data_dir == "späce ünï"
    assert settings.environment["MIXED_PRECISION"] == "bf16"


def test_wrong_changes_write_nothing(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid):
        presets.apply("practice", tmp_path / "x", {"adapter.lora_rank": 0})
    with pytest.raises(TunerError, match="There is no preset 'no'; there are practice, "):
        presets.apply("no", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def computer(vram_gb: float | None, ram_gb: float = 32.0) -> Reading:
    """With all of its memory free."""
    return Reading(0.0, ram_gb, 0.0, 100.0, vram_used_gb=0.0, vram_total_gb=vram_gb)


REAL = [preset for preset in presets.listed() if preset.card_gb]
LADDER = {
    6: "6gb-nf4",
    8: "8gb-nf4",
    10: "10gb-nf4",
    11: "10gb-nf4",
    12: "12gb-nf4",
    16: "16gb-int4",
    24: "24gb-int8",
    32: "32gb-int8",
    48: "48gb-bf16",
    80: "80gb-bf16",
}


@pytest.mark.parametrize("preset", REAL, ids=lambda preset: preset.name)
def test_its_figures_are_the_forecast_for_its_card(preset: Preset) -> None:
    """Beside what the desktop takes, previews included; in whole GB."""
    found = presets.outlook(preset, computer(preset.card_gb - presets.SPARE_VRAM_GB))
    assert found.state == "fits"
    assert (preset.vram_gb, preset.ram_gb) == (ceil(found.vram_gb), ceil(found.ram_gb))
    assert preset.vram_gb < preset.card_gb
    assert presets.settings_of(preset.name).prompts


@pytest.mark.parametrize("ram_gb", [16.0, 32.0, 64.0])
@pytest.mark.parametrize(("vram_gb", "name"), LADDER.items())
def test_recommended(vram_gb: int, name: str, ram_gb: float) -> None:
    there = computer(float(vram_gb), ram_gb)
    assert presets.recommended(there).name == name
    for found in [presets.outlook(preset, there) for preset in presets.listed()]:
        if found.state != "no":
            assert found.vram_gb <= vram_gb and found.ram_gb <= ram_gb
        if found.preset.card_gb > vram_gb:
            assert found.state != "fits"


@pytest.mark.parametrize("preset", REAL, ids=lambda preset: preset.name)
def test_what_is_offered_is_planned_without_running_out(preset: Preset, tmp_path: Path) -> None:
    """Also as the run itself plans it, which fills the card with what it can."""
    settings = load_all(presets.apply(preset.name, tmp_path)).settings
    there = computer(preset.card_gb - presets.SPARE_VRAM_GB)
    index = presets.one_picture(settings)
    needs = forecast(settings, index, there, fitting.choose(settings, index, there))
    assert all(one.vram_gb <= (there.vram_total_gb or 0.0) for one in needs.values())


def test_the_leanest_recipe_is_the_guides() -> None:
    settings = presets.settings_of("10gb-nf4")
    assert settings.memory.base_model_precision == "nf4-bnb"
    assert settings.optimization.optimizer == "bnb-lion8bit-paged"
    assert settings.dataset.resolution == 512
    assert next(one.vram_gb for one in REAL if one.name == "10gb-nf4") <= 9


def test_without_a_card_practice_is_recommended() -> None:
    none = computer(None)
    assert presets.recommended(none).name == "practice"
    assert {presets.outlook(preset, none).state for preset in REAL} == {"no"}


def test_only_free_memory_counts() -> None:
    desktop = replace(computer(24.0), vram_used_gb=2.0)
    assert presets.recommended(desktop).name == "24gb-int8"
    busy = replace(computer(24.0), vram_used_gb=10.0)
    assert presets.recommended(busy).name == "16gb-int4"
    full = replace(computer(24.0), ram_used_gb=31.0)
    assert presets.outlook(REAL[0], full).state == "no"


def test_a_card_that_is_too_small_gets_what_is_tight() -> None:
    assert presets.recommended(computer(5.0)).name == "6gb-nf4"
    found = presets.outlook(REAL[0], computer(5.0))
    assert found.state == "tight" and "blocks in the computer's memory" in found.levers
    assert presets.recommended(computer(2.0)).name == "practice"


def test_the_size_of_the_file() -> None:
    """Rank 16 on all attention layers; float32."""
    assert presets.file_mb(presets.settings_of("24gb-int8")) == pytest.approx(104.6, abs=0.1)

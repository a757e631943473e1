"""Every preset is whole, reads back without a complaint, and says only what differs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuner import presets
from tuner.errors import SettingsInvalid, TunerError
from tuner.files import load_all
from tuner.files.config_json import NAME
from tuner.files.run_folder import RunFolder
from tuner.machine import Reading
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


@pytest.mark.parametrize(
    ("vram_gb", "name"),
    [(None, "practice"), (10.0, "practice"), (42.9, "practice"), (51.5, "48gb-bf16"), (85.0, "80gb-bf16")],
)
def test_recommended(vram_gb: float | None, name: str) -> None:
    reading = Reading(ram_used_gb=1, ram_total_gb=64, process_gb=1, disk_free_gb=100, vram_total_gb=vram_gb)
    assert presets.recommended(reading).name == name

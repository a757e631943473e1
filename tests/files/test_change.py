"""Changes by dotted path, as forms, presets and advice make them."""

from __future__ import annotations

import pytest

from tuner.errors import SettingsInvalid
from tuner.files import changed
from tuner.settings.dataset import ImageDataset
from tuner.settings.run import RunSettings

GOOD = RunSettings(
    datasets=(ImageDataset(id="a.b", instance_data_dir="x"),),
    environment={"MIXED_PRECISION": "bf16", "OTHER": "1"},
)


def test_values_may_be_texts_as_from_a_form() -> None:
    after = changed(
        GOOD,
        {"optimization.learning_rate": "2e-4", "adapter.lora_rank": 8.0, "memory.vae_enable_tiling": "on"},
    )
    assert (after.optimization.learning_rate, after.adapter.lora_rank) == (2e-4, 8)
    assert after.memory.vae_enable_tiling is True
    assert GOOD.adapter.lora_rank == 16


def test_none_unsets() -> None:
    assert (
        changed(changed(GOOD, {"adapter.lora_rank": 8}), {"adapter.lora_rank": None}).adapter.lora_rank == 16
    )


def test_a_dataset_by_its_id() -> None:
    assert changed(GOOD, {"datasets.a.b.repeats": "9"}).datasets[0].repeats == 9


def test_tables_by_key() -> None:
    after = changed(GOOD, {"environment.OTHER": None, "environment.NEW": "2", "lycoris.factor": 8})
    assert after.environment == {"MIXED_PRECISION": "bf16", "NEW": "2"}
    assert after.lycoris == {"factor": 8}


def test_config_env_follows_its_twin() -> None:
    assert changed(GOOD, {"model.mixed_precision": "no"}).environment["MIXED_PRECISION"] == "no"
    assert (
        "MIXED_PRECISION"
        not in changed(RunSettings(datasets=GOOD.datasets), {"model.mixed_precision": "no"}).environment
    )


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("adapter.lora_rnak", "There is no setting 'adapter.lora_rnak'. Did you mean 'adapter.lora_rank'?"),
        ("model.lora_rank", "There is no setting 'model.lora_rank'. Did you mean 'adapter.lora_rank'?"),
        ("datasets.no.repeats", "There is no setting 'datasets.no.repeats'."),
        ("nonsense", "There is no setting 'nonsense'."),
    ],
)
def test_a_path_that_leads_nowhere(path: str, sentence: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        changed(GOOD, {path: 1})
    assert caught.value.message == sentence


def test_all_problems_of_a_change_come_at_once() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        changed(GOOD, {"adapter.lora_rank": "x", "model.model_type": "full", "datasets.a.b.repeats": -1})
    assert [problem.path for problem in caught.value.problems] == [
        "adapter.lora_rank",
        "model.model_type",
        "datasets.a.b.repeats",
    ]

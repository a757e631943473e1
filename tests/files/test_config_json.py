"""config.json in the spellings that SimpleTuner users have."""

from __future__ import annotations

import pytest

from tuner.files.config_json import NO_EFFECT_ON_FLUX, NOT_NEEDED, build, read
from tuner.settings.run import RunSettings, specs


def settings(document: dict[str, object], environment: dict[str, str] | None = None) -> RunSettings:
    found, _ = read(document, environment or {})
    assert found.problems == []
    return build(found.values)


def notes(document: dict[str, object], environment: dict[str, str] | None = None) -> list[str]:
    return [note for note in read(document, environment or {})[1] if "is not given" not in note]


def test_older_keys() -> None:
    made = settings(
        {"validation_steps": 7, "checkpointing_steps": 8, "save_total_limit": 9, "fused_qkv_projections": 0}
    )
    assert (made.sampling.validation_step_interval, made.saving.checkpoint_step_interval) == (7, 8)
    assert made.saving.checkpoints_total_limit == 9


def test_a_key_turned_round() -> None:
    assert settings({"vae_cache_preprocess": False}).dataset.vae_cache_ondemand is True
    assert settings({"--vae_cache_preprocess": "true"}).dataset.vae_cache_ondemand is False


def test_the_text_false_means_false() -> None:
    assert settings({"gradient_checkpointing": "false"}).memory.gradient_checkpointing is False


def test_an_sdxl_vae_is_left_out() -> None:
    document = {"pretrained_vae_model_name_or_path": "madebyollin/sdxl-vae-fp16-fix"}
    assert settings(document).model.pretrained_vae_model_name_or_path is None
    assert notes(document) == [
        "config.json: 'pretrained_vae_model_name_or_path' names a VAE of SDXL, which FLUX cannot use; "
        "the model's own is taken."
    ]


def test_variables_in_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_SYSTEM", "/system")
    made = settings({"output_dir": "{env:HERE}/{env:FROM_SYSTEM}/{env:NOWHERE}x"}, {"HERE": "/mine"})
    assert made.saving.output_dir == "/mine//system/x"


def test_config_env_counts_where_config_json_is_silent() -> None:
    environment = {"MIXED_PRECISION": "no"}
    assert settings({}, environment).model.mixed_precision == "no"
    assert settings({"mixed_precision": "bf16"}, environment).model.mixed_precision == "bf16"
    assert notes({"mixed_precision": "bf16"}, environment) == [
        "config.json says bf16 for 'mixed_precision' and config.env no; config.json counts."
    ]
    assert notes({"mixed_precision": "no"}, environment) == []


def test_a_near_miss_is_named() -> None:
    assert notes({"--learning-rate": 1, "lora_rnak": 2, "wandb": 3}) == [
        "config.json: '--learning-rate' is not used; it stays in the file. Did you mean 'learning_rate'?",
        "config.json: 'lora_rnak' is not used; it stays in the file. Did you mean 'lora_rank'?",
        "config.json: 'wandb' is not used; it stays in the file.",
    ]


def test_what_makes_no_difference_is_said() -> None:
    assert notes({"snr_gamma": 5, "write_batch_size": 64, "offload_during_startup": True}) == [
        "config.json: 'offload_during_startup' makes no difference here: "
        "each model is freed before the next one is loaded.",
        "config.json: 'snr_gamma' has no effect on FLUX; it stays in the file.",
        "config.json: 'write_batch_size' is not needed here; it stays in the file.",
    ]


def test_no_setting_is_also_called_useless() -> None:
    keys = {key for spec in specs() for key in spec.keys}
    assert keys.isdisjoint({*NO_EFFECT_ON_FLUX, *NOT_NEEDED})

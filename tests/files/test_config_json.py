"""config.json in the spellings that SimpleTuner users have."""

from __future__ import annotations

import pytest

from tuner.files.config_json import build, read, with_variables, write
from tuner.settings import useless
from tuner.settings.run import RunSettings, specs


def settings(document: dict[str, object], environment: dict[str, str] | None = None) -> RunSettings:
    found, _ = read(document, environment or {})
    assert found.problems == []
    return build(found.values)


def notes(document: dict[str, object], environment: dict[str, str] | None = None) -> list[str]:
    return [note for note in read(document, environment or {})[1] if "given; " not in note]


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


def test_what_makes_no_difference_is_said_with_the_reason() -> None:
    assert notes({"snr_gamma": 5, "write_batch_size": 64, "offload_during_startup": True}) == [
        "config.json: 'offload_during_startup' makes no difference here: "
        "each model is freed before the next one is loaded.",
        "config.json: 'snr_gamma' makes no difference here: "
        "FLUX learns by flow matching, which has no such term.",
        "config.json: 'write_batch_size' makes no difference here: "
        "files are written whole and found by their content, however many at a time.",
    ]


def test_no_setting_is_also_called_useless() -> None:
    keys = {key for spec in specs() for key in spec.keys}
    assert keys.isdisjoint(useless.CONFIG)


def test_a_key_that_was_cut_short() -> None:
    """As SimpleTuner takes it; what could mean two settings, or is no word of two parts, is not guessed."""
    found, said = read({"--lora_ran": 8, "flux_guidance": 2, "see": 3}, {})
    assert found.values == {"lora_rank": 8}
    assert not any("'learning_rate'" in one for one in read({"learning_rat": 1e-5}, {})[1] if "given" in one)
    assert "config.json: '--lora_ran' is read as 'lora_rank'." in said
    assert set(found.unused) == {"flux_guidance", "see"}
    before, after = build({"lora_rank": 8}), build({"lora_rank": 32})
    assert write({"--lora_ran": 8}, before, after) == {"--lora_ran": 32}


def test_two_spellings_of_one_key() -> None:
    document = {"--lora_rank": 8, "lora_rank": 32, "save_total_limit": 2, "checkpoints_total_limit": None}
    assert settings(document).adapter.lora_rank == 32
    assert settings(document).saving.checkpoints_total_limit == 2
    assert notes(document) == ["config.json: 'lora_rank' stands there twice; the later one, 32, counts."]


def test_older_switches_keep_their_place_in_the_order() -> None:
    assert settings({"ignore_final_epochs": True, "strict_epoch_limit": True}).optimization.strict_epoch_limit
    late = settings({"strict_epoch_limit": True, "ignore_final_epochs": "yes"})
    assert late.optimization.strict_epoch_limit is False


def test_null_leaves_the_word_to_config_env() -> None:
    assert settings({"mixed_precision": None}, {"MIXED_PRECISION": "no"}).model.mixed_precision == "no"


def test_variables_deep_inside() -> None:
    document = {"tread_config": {"routes": [{"where": "{env:HERE}"}], "n": 1}}
    assert with_variables(document, {"HERE": "x"}) == {"tread_config": {"routes": [{"where": "x"}], "n": 1}}


def test_a_value_that_is_an_object_or_a_list_is_never_dropped() -> None:
    found, _ = read({"lora_rank": [8, 16], "output_dir": {"a": 1}, "webhook_config": {"b": 2}}, {})
    assert [problem.message for problem in found.problems] == [
        "'lora_rank' is '[8, 16]'; it must be a whole number.",
        "'output_dir' is '{\"a\": 1}'; it must be a text.",
    ]
    assert found.unused == {"webhook_config": {"b": 2}}


def test_several_cards_are_passed_on_and_said() -> None:
    made = settings({}, {"TRAINING_NUM_PROCESSES": "2", "TRAINING_DYNAMO_BACKEND": "inductor"})
    assert (made.optimization.num_processes, made.optimization.dynamo_backend) == (2, "inductor")
    assert notes({}, {"TRAINING_NUM_PROCESSES": "2"}) == [
        "config.env: 'num_processes' makes no difference here: one card trains, so a step sees "
        "train_batch_size x gradient_accumulation_steps pictures; the number stays in the file."
    ]


LOKR = {"algo": "lokr"}


def test_a_lycoris_file_alone_means_a_lycoris() -> None:
    found, said = read({}, {}, LOKR)
    assert found.values == found.filled == {"lora_type": "lycoris"}
    assert (
        "config.json: 'lora_type' is not given; lycoris is used, because there is a lycoris_config.json."
        in said
    )
    assert read({"lora_type": "standard"}, {}, LOKR)[0].filled == {}
    assert read({"flux_lora_target": "all"}, {}, LOKR)[0].filled == {}


def test_what_was_filled_in_is_written_down_with_the_first_change() -> None:
    found, _ = read({"seed": 1}, {}, LOKR)
    before = build(found.values)
    assert write({"seed": 1}, before, before, found.filled) == {"seed": 1}
    after = build(found.values | {"seed": 2})
    assert write({"seed": 1}, before, after, found.filled) == {"seed": 2, "lora_type": "lycoris"}

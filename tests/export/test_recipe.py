"""The recipe in a file's header: everything that made it, nothing of who made it and where."""

from __future__ import annotations

import json

import pytest

from tuner.export.recipe import LONGEST, hub_name, recipe

DOCUMENTS = {
    "config.json": {
        "lora_rank": 16,
        "learning_rate": 1e-4,
        "model_flavour": "dev",
        "tokenizer_max_length": 512,
        "pretrained_model_name_or_path": "black-forest-labs/FLUX.1-dev",
        "pretrained_transformer_model_name_or_path": "/models/flux.safetensors",
        "output_dir": "runs/anna",
        "data_backend_config": "config/anna/multidatabackend.json",
        "hub_token": "whatever",
        "webhook_config": "config/discord.json",
        "init_lora": "loras/anna/first.safetensors",
        "seed": None,
    },
    "multidatabackend.json": [
        {
            "id": "teapot",
            "instance_data_dir": "pictures/anna",
            "cache_dir_vae": "cache",
            "instance_prompt": "sks teapot",
            "crop": True,
            "aws_secret_access_key": "xyz",
            "probability": 1.0,
        }
    ],
    "user_prompt_library.json": {"cup": "a photo of sks teapot and/or a cup", "me": "for anna@example.org"},
    "lycoris_config.json": {"algo": "lokr", "apply_preset": {"target_module": ["Attention", "/etc/passwd"]}},
    "config.env": {"HF_TOKEN": "abc", "WANDB_API_KEY": "abc", "TRAINING_NUM_PROCESSES": "1"},
}


def test_what_is_told_and_what_is_not() -> None:
    assert json.loads(recipe(DOCUMENTS)) == {
        "config.json": {
            "lora_rank": 16,
            "learning_rate": 1e-4,
            "model_flavour": "dev",
            "tokenizer_max_length": 512,
            "pretrained_model_name_or_path": "black-forest-labs/FLUX.1-dev",
            "seed": None,
        },
        "multidatabackend.json": [
            {"id": "teapot", "instance_prompt": "sks teapot", "crop": True, "probability": 1.0}
        ],
        "user_prompt_library.json": {"cup": "a photo of sks teapot and/or a cup"},
        "lycoris_config.json": {"algo": "lokr", "apply_preset": {"target_module": ["Attention"]}},
        "config.env": {"TRAINING_NUM_PROCESSES": "1"},
    }


def test_a_private_key_goes_with_its_value() -> None:
    assert recipe({"library": {"C:\\Users\\Anna": "a cup"}}) == '{"library": {}}'


def test_a_recipe_too_long_goes_without_its_largest_file() -> None:
    prompts = {f"prompt {number}": "a long sentence " * 20 for number in range(LONGEST // 300)}
    found = json.loads(recipe({**DOCUMENTS, "user_prompt_library.json": prompts}))
    assert "user_prompt_library.json" not in found and found["config.json"]["lora_rank"] == 16


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("black-forest-labs/FLUX.1-dev", True),
        ("/models/flux", False),
        ("tuner/practice/model", False),
        ("~/flux", False),
        ("", False),
        (None, False),
    ],
)
def test_hub_names(text: str | None, told: bool) -> None:
    assert hub_name(text) == (text if told else None)

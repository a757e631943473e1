"""Every kind of adapter, every list of layers and every start, from pictures to export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.rows.trial import check, refusal, refused, train, works
from tuner.settings.run import RunSettings


@pytest.mark.parametrize("name", works("adapter.flux_lora_target"))
def test_a_list_of_layers(
    name: str, settings: RunSettings, deep_flux: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = {"model.pretrained_model_name_or_path": str(deep_flux)}
    check(train(settings, {**model, "adapter.flux_lora_target": name}, monkeypatch))


@pytest.mark.parametrize("name", refused("adapter.flux_lora_target"))
def test_a_list_of_layers_that_does_not_work(name: str, settings: RunSettings) -> None:
    refusal(settings, {"adapter.flux_lora_target": name})


ROWS: list[dict[str, Any]] = [
    {"lora_init_type": "gaussian"},
    {"lora_init_type": "olora"},
    {"lora_init_type": "pissa"},
    {"lora_init_type": "loftq", "base_model_precision": "int4-quanto"},
    {"use_dora": True},
    {"lora_dropout": 0.2},
    {"lora_alpha": 7},
    {"peft_lora_target_modules": ["attn.to_q", "proj_mlp"]},
]

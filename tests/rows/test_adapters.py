"""Every kind of adapter, every list of layers and every start, from pictures to export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.rows.trial import check, refusal, refused, train, works
from tuner.errors import SettingsInvalid
from tuner.files import changed
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


BASE = "memory.base_model_precision"


@pytest.mark.parametrize("base", ["no_change", "int8-quanto", "int4-quanto", "nf4-bnb"])
@pytest.mark.parametrize("name", works("adapter.lora_init_type"))
def test_a_start(name: str, base: str, settings: RunSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    change = {"adapter.lora_init_type": name, BASE: base}
    try:
        changed(settings, change)
    except SettingsInvalid:
        refusal(settings, change)
    else:
        check(train(settings, change, monkeypatch))


ROWS: list[dict[str, Any]] = [
    {"use_dora": True},
    {"lora_dropout": 0.2},
    {"lora_alpha": 7},
    {"peft_lora_target_modules": ["attn.to_q", "proj_mlp"]},
    {"slider_lora_target": True},
    {"lora_format": "comfyui"},
]


@pytest.mark.parametrize("base", ["no_change", "int8-quanto", "nf4-bnb"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row))
def test_an_option_of_lora(
    row: dict[str, Any], base: str, settings: RunSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = {f"adapter.{key}": value for key, value in row.items()}
    check(train(settings, {**change, BASE: base}, monkeypatch))

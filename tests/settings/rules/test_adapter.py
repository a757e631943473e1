"""What is said of adapter settings that make no difference; the refusals stand in test_refusals."""

from __future__ import annotations

from typing import Any

import pytest

from tuner.settings.adapter import Adapter
from tuner.settings.memory import Memory
from tuner.settings.rules.adapter import notes
from tuner.settings.run import RunSettings

LOKR = {"algo": "lokr", "multiplier": 1.0, "linear_dim": 4, "linear_alpha": 1}


def said(precision: str = "no_change", lycoris: dict[str, Any] | None = None, **choice: Any) -> list[str]:
    memory = Memory(base_model_precision=precision)
    return list(notes(RunSettings(adapter=Adapter(**choice), memory=memory, lycoris=lycoris or {})))


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        (
            {"lora_init_type": "loftq"},
            "'lora_init_type': 'loftq' makes no difference: the base is not quantized",
        ),
        (
            {"lora_init_type": "pissa", "init_lora": "a"},
            "'pissa' makes no difference: 'init_lora' brings the",
        ),
        ({"slider_lora_target": True, "peft_lora_target_modules": ("a",)}, "'slider_lora_target' makes no"),
        ({"init_lokr_norm": 1e-3}, "'init_lokr_norm' makes no difference: it is for LyCORIS' 'lokr'."),
        ({"init_lora_step": 5}, "'init_lora_step' makes no difference: no 'init_lora' is given."),
    ],
)
def test_a_note(choice: dict[str, Any], sentence: str) -> None:
    (note,) = said(**choice)
    assert note.startswith("config.json: ") and sentence in note


def test_settings_that_all_count_are_passed_over_in_silence() -> None:
    assert said() == said("int8-quanto", lora_init_type="loftq") == said("nf4-bnb", use_dora=True) == []
    assert said(lycoris=LOKR, lora_type="lycoris", init_lokr_norm=1e-3) == []


def test_a_lycoris_file_is_looked_through_where_it_is_used() -> None:
    without = {key: value for key, value in LOKR.items() if key != "multiplier"}
    assert said(lycoris=without) == []
    (note,) = said(lycoris=without, lora_type="lycoris")
    assert note == "lycoris_config.json: 'multiplier' is not given; 1.0 is used."

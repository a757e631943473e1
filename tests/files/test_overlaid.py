"""Settings of which single files are replaced, as on the page."""

from __future__ import annotations

import json

import pytest

from tuner import presets
from tuner.errors import ConfigFileBroken, SettingsInvalid
from tuner.files import overlaid

SETTINGS = presets.settings_of("24gb-int8")


def test_one_file_is_replaced_and_the_others_stay() -> None:
    loaded = overlaid(SETTINGS, {"user_prompt_library.json": '{"a": "a <token>"}'}).settings
    assert [one.prompt for one in loaded.library] == ["a <token>"]
    assert loaded.datasets == SETTINGS.datasets and loaded.optimization == SETTINGS.optimization


def test_a_file_may_have_the_name_that_config_json_gives_it() -> None:
    config = json.dumps({"model_type": "lora", "data_backend_config": "config/mine.json", "lora_rank": 3})
    backend = json.dumps([{"id": "mine", "type": "local", "instance_data_dir": "there"}])
    loaded = overlaid(SETTINGS, {"mine.json": backend, "config.json": config}).settings
    assert loaded.adapter.lora_rank == 3
    assert [one.id for one in loaded.active_datasets] == ["mine"]


def test_what_is_wrong_is_said_with_its_file_and_line() -> None:
    with pytest.raises(SettingsInvalid, match=r"config\.json, line 2: .*lora_rank"):
        overlaid(SETTINGS, {"config.json": '{\n"lora_rank": 0\n}'})
    with pytest.raises(ConfigFileBroken, match="stops in the middle"):
        overlaid(SETTINGS, {"lycoris_config.json": "{"})
    with pytest.raises(ConfigFileBroken, match="'other.json' is none of the files"):
        overlaid(SETTINGS, {"other.json": "{}"})

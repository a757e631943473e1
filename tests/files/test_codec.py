"""Every setting goes to its key and comes back, whatever its kind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tuner.files import config_json, five
from tuner.files.codec import decode, encode
from tuner.settings.checks import problems
from tuner.settings.dataset import ImageDataset
from tuner.settings.fields import Spec
from tuner.settings.run import RunSettings, dataset_specs, specs

ALL = [*specs(), *dataset_specs()]
OTHER: dict[str, Any] = {
    "str": "späce ünï (1)",
    "texts": ("a", "b"),
    "names": ("to_k",),
    "json": {"a": [1]},
    "list": (1.0,),
}


def other_value(spec: Spec) -> Any:
    """A value that is not the default: one that works, where there is one."""
    if spec.choices or spec.built is not None:
        options = [one for one in (spec.built or spec.choices) if one is not None and one != spec.default]
        if options or spec.choices:
            return (options or [one for one in spec.choices if one != spec.default] or [spec.default])[0]
    if spec.kind == "bool":
        return not spec.default
    if spec.kind in ("int", "float"):
        value = (spec.default or spec.minimum or 0) + (1 if spec.kind == "int" else 0.125)
        return value if spec.maximum is None or value <= spec.maximum else spec.maximum / 2
    return OTHER[spec.kind]


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.path)
def test_a_value_comes_back(spec: Spec) -> None:
    value = other_value(spec)
    document = json.loads(json.dumps(encode({}, [spec], {spec.name: spec.default}, {spec.name: value})))
    found = decode(document, [spec])
    assert found.values.get(spec.name, spec.default) == value
    assert (found.unused, found.problems) == ({}, [])


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.path)
def test_dashes_and_texts_mean_the_same(spec: Spec) -> None:
    value = other_value(spec)
    as_text = value if isinstance(value, str) else json.dumps(value)
    for key in spec.keys:
        assert decode({f"--{key}": as_text}, [spec]).values == {spec.name: value}


@pytest.mark.parametrize("spec", specs(), ids=lambda spec: spec.name)
def test_settings_come_back_through_the_texts_of_all_files(spec: Spec) -> None:
    settings = config_json.build(
        {spec.name: other_value(spec)}, datasets=(ImageDataset(id="a", instance_data_dir="b"),)
    )
    texts = five.texts_of(settings)
    assert five.read(texts, {}).settings == settings
    assert five.texts_of(five.read(texts, {}).settings) == texts


@pytest.mark.parametrize("spec", dataset_specs(), ids=lambda spec: spec.name)
def test_a_dataset_comes_back(spec: Spec) -> None:
    one = ImageDataset(**{"id": "a", "instance_data_dir": "b", spec.name: other_value(spec)})
    settings = RunSettings(datasets=(one,))
    assert five.read(five.texts_of(settings), {}).settings == settings


def test_a_fresh_file_says_what_simpletuner_needs_and_what_differs() -> None:
    settings = config_json.build({"lora_rank": 8}, datasets=(ImageDataset(id="a", instance_data_dir="b"),))
    assert problems(settings) == ()
    config = json.loads(five.texts_of(settings)["config.json"])
    assert set(config) == {
        "model_type",
        "model_family",
        "output_dir",
        "optimizer",
        "learning_rate",
        "data_backend_config",
        "lora_rank",
    }


def test_the_later_of_two_spellings_wins() -> None:
    rank = [spec for spec in specs() if spec.name == "lora_rank"]
    assert decode({"--lora_rank": 8, "lora_rank": 32}, rank).values == {"lora_rank": 32}


def test_null_is_unset() -> None:
    assert decode({"use_ema": None, "lora_alpha": "  ", "validation_prompt": ""}, specs()).values == {
        "validation_prompt": ""
    }


def test_unknown_keys_are_kept_apart() -> None:
    assert decode({"wandb": 1, "--seed": 2}, specs()).unused == {"wandb": 1}

"""The guide's own blocks, read out of a copy of it and not retyped."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tuner.files import load_all, save_all
from tuner.files.config_json import read
from tuner.settings.run import specs

GUIDE = (Path(__file__).parents[1] / "golden" / "guide.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(?:json|bash)\n(.*?)```", GUIDE, re.DOTALL)
(ESSENTIAL, QUANTIZED, LORA, TREAD, LYCORIS, BACKENDS, PROMPTS, ENV, CUSTOM) = BLOCKS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "config.json": ESSENTIAL,
        "lycoris_config.json": LYCORIS,
        "multidatabackend.json": BACKENDS,
        "user_prompt_library.json": PROMPTS,
        "config.env": ENV,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("text", [ESSENTIAL, QUANTIZED, LORA, TREAD, CUSTOM])
def test_every_key_of_the_guide_is_a_setting(text: str) -> None:
    document: dict[str, Any] = json.loads(text)
    found, _ = read(document, {})
    assert (found.unused, found.problems) == ({}, [])
    assert set(found.values) == {key.lstrip("-") for key in document}
    for key, value in document.items():
        assert found.values[key.lstrip("-")] == value


def test_the_guides_five_files_load(folder: Path) -> None:
    settings, notes = (loaded := load_all(folder)).settings, loaded.notes
    assert settings.sampling.validation_guidance == 3
    assert settings.trigger == "your subject name here"
    assert len(settings.prompts) == 5
    assert not any("<token>" in one.name + one.prompt for one in settings.prompts)
    assert settings.lycoris["apply_preset"]["module_algo_map"]["FeedForward"] == {"factor": 8}
    assert settings.environment["ACCELERATE_EXTRA_ARGS"] == "--num_cpu_threads_per_process 1"
    assert settings.datasets[0].repeats == 1000
    assert settings.unused == {}
    assert notes == (
        "config.json: 'learning_rate' is not given; 0.0001 is used.",
        "config.json: 'data_backend_config' is not given; config/multidatabackend.json is used.",
        "config.json: neither 'max_train_steps' nor 'num_train_epochs' is given; 1 epoch is trained.",
        "config.json: 'lora_type' is not given; lycoris is used, because there is a lycoris_config.json.",
        "multidatabackend.json: 'cache_dir_vae' of dataset 'dreambooth-subject' makes no difference here: "
        "all that is encoded lies in 'cache_dir', under names that tell datasets and models apart.",
        "multidatabackend.json: 'cache_dir' of 'text-embeds' makes no difference here: "
        "all that is encoded lies in 'cache_dir', under names that tell datasets and models apart.",
        "multidatabackend.json: 'write_batch_size' of 'text-embeds' makes no difference here: "
        "files are written whole and found by their content, however many at a time.",
        "config.json: 'user_prompt_library' is not given; the user_prompt_library.json beside it is used.",
    )


def test_the_guides_five_files_survive(folder: Path, tmp_path: Path) -> None:
    save_all(load_all(folder).settings, tmp_path / "copy")
    for path in folder.glob("*.*"):
        assert (tmp_path / "copy" / path.name).read_text(encoding="utf-8") == path.read_text(encoding="utf-8")


def test_every_word_in_backticks_that_is_a_key_is_declared() -> None:
    """`like_this` in the guide's prose: options, their values, or keys of a dataset."""
    known = {key for spec in specs() for key in spec.keys}
    prose = set(re.findall(r"`(?:--)?([a-z0-9]+(?:_[a-z0-9]+)+)(?:=\w+)?`", GUIDE))
    values = {"adamw_bf16", "user_prompt_library_template", "int8_quanto"}
    datasets = {"crop_aspect", "crop_style", "instance_prompt"}
    assert prose - known - values - datasets == set()

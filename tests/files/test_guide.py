"""The guide's own blocks, read out of a copy of it and not retyped: each loads, and all together train."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from tuner.events import Event, RunFinished, SampleReady, StepDone
from tuner.files import load_all, save_all
from tuner.files.config_json import read
from tuner.session import prepare
from tuner.settings.run import specs
from tuner.settings.values import shown
from tuner.training.control import Control
from tuner.training.run import run

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "tests" / "golden" / "guide.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(?:json|bash)\n(.*?)```", GUIDE, re.DOTALL)
(ESSENTIAL, QUANTIZED, LORA, TREAD, LYCORIS, BACKENDS, PROMPTS, ENV, CUSTOM) = BLOCKS


PRACTICE = ROOT / "tuner" / "practice"
SMALL_PLACES = {
    "pretrained_model_name_or_path": str(PRACTICE / "model"),
    "pretrained_vae_model_name_or_path": str(PRACTICE / "model"),
    "pretrained_transformer_model_name_or_path": str(PRACTICE / "model" / "transformer"),
    "tokenizer_max_length": 16,
    "validation_resolution": "64x64",
    "validation_num_inference_steps": 1,
    "max_train_steps": 2,
}
SMALL_PICTURES = {
    "instance_data_dir": str(PRACTICE / "pictures"),
    "repeats": 0,
    **dict.fromkeys(("resolution", "minimum_image_size", "maximum_image_size", "target_downsample_size"), 64),
}


@pytest.mark.skipif(not (ROOT.parent / "shared" / "guide").is_dir(), reason="only beside the guide itself")
def test_the_copy_is_the_guide_itself() -> None:
    (original,) = (ROOT.parent / "shared" / "guide").glob("*.md")
    assert original.read_text(encoding="utf-8") == GUIDE


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


@pytest.mark.parametrize("text", [ESSENTIAL, QUANTIZED, LORA, TREAD, CUSTOM, "{}"])
def test_a_block_alone_is_filled_up_and_the_filling_is_said(text: str, tmp_path: Path) -> None:
    document: dict[str, Any] = json.loads(text)
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    (tmp_path / "multidatabackend.json").write_text(BACKENDS, encoding="utf-8")
    loaded = load_all(tmp_path)
    for spec in specs():
        if spec.required and spec.name not in document:
            filling = f"config.json: '{spec.name}' is not given; {shown(spec.default)} is used."
            assert filling in loaded.notes


def test_the_lycoris_block_alone_makes_a_lycoris(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "multidatabackend.json").write_text(BACKENDS, encoding="utf-8")
    (tmp_path / "lycoris_config.json").write_text(LYCORIS, encoding="utf-8")
    loaded = load_all(tmp_path)
    assert loaded.settings.adapter.lora_type == "lycoris"
    assert any("'lora_type' is not given; lycoris is used" in note for note in loaded.notes)


@pytest.mark.parametrize("told", [{}, {"lora_type": "lycoris"}], ids=["the blocks as they are", "lycoris"])
def test_all_blocks_together_train(told: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    """Paths, sizes and the length shrunk to the practice model; every other word is the guide's."""
    blocks = [json.loads(text) for text in (ESSENTIAL, QUANTIZED, LORA, TREAD, CUSTOM)]
    config = {key: value for block in blocks for key, value in block.items()}
    config |= {**SMALL_PLACES, **told, "output_dir": str(tmp_path / "run")}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    pictures, *stores = json.loads(BACKENDS)
    backends = [{**pictures, **SMALL_PICTURES}, *stores]
    (folder / "multidatabackend.json").write_text(json.dumps(backends), encoding="utf-8")
    said: list[Event] = []
    plan = prepare(folder)
    assert plan.settings.adapter.lora_type == told.get("lora_type", "standard")
    run(plan, said.append, Control())
    assert isinstance(said[-1], RunFinished)
    assert all(math.isfinite(event.loss) for event in said if isinstance(event, StepDone))
    names = {event.name for event in said if isinstance(event, SampleReady)}
    assert "chef_your subject name here" in names


def test_every_word_in_backticks_that_is_a_key_is_declared() -> None:
    """`like_this` in the guide's prose: options, their values, or keys of a dataset."""
    known = {key for spec in specs() for key in spec.keys}
    prose = set(re.findall(r"`(?:--)?([a-z0-9]+(?:_[a-z0-9]+)+)(?:=\w+)?`", GUIDE))
    values = {"adamw_bf16", "user_prompt_library_template", "int8_quanto"}
    datasets = {"crop_aspect", "crop_style", "instance_prompt"}
    assert prose - known - values - datasets == set()

"""A LoRA tells how it was trained, and a new run begins with that."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from tuner import files, presets
from tuner.errors import TunerError
from tuner.export.recipe import recipe
from tuner.files import five
from tuner.files.from_export import KEY, load_export


def write(path: Path, metadata: dict[str, str]) -> Path:
    """A safetensors file without tensors."""
    header = json.dumps({"__metadata__": metadata}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    config = presets.apply(
        "practice",
        tmp_path / "first",
        {
            "optimization.learning_rate": 3e-4,
            "adapter.lora_rank": 7,
            "datasets.pictures.instance_data_dir": "/home/anna/cat",
            "datasets.pictures.instance_prompt": "sks cat",
        },
    )
    settings = files.load_all(config).settings
    documents = {**five.documents_of(five.texts_of(settings), {}), "config.env": dict(settings.environment)}
    return write(tmp_path / "cat.safetensors", {KEY: recipe(documents)})


def test_the_recipe_comes_back(lora: Path, tmp_path: Path) -> None:
    loaded = load_export(lora, Path("runs/cat"))
    files.save_all(loaded.settings, tmp_path / "back")
    again = files.load_all(tmp_path / "back").settings
    before = files.load_all(tmp_path / "first").settings
    assert (again.optimization, again.adapter) == (before.optimization, before.adapter)
    assert (again.library, again.trigger, again.saving.output_dir) == (before.library, "sks cat", "runs/cat")
    assert again.datasets[0].instance_data_dir == "datasets/pictures"
    assert loaded.notes == ("Put the pictures of 'pictures' into 'datasets/pictures', or change its folder.",)


def test_the_pictures_may_be_named(lora: Path) -> None:
    loaded = load_export(lora, Path("runs/cat"), Path("somewhere/else"))
    assert loaded.settings.datasets[0].instance_data_dir == "somewhere/else" and loaded.notes == ()


def test_a_file_of_another_program(tmp_path: Path) -> None:
    with pytest.raises(TunerError, match="'x.safetensors' holds no recipe of FluxTuner"):
        load_export(write(tmp_path / "x.safetensors", {"ss_steps": "3"}), Path("runs/x"))
    (tmp_path / "y.safetensors").write_bytes(b"no such thing")
    with pytest.raises(TunerError, match="damaged"):
        load_export(tmp_path / "y.safetensors", Path("runs/y"))

"""A merged model draws what base model and adapter draw together, in either layout; whole, or not there."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.test_attach import output
from tests.training.test_exporting import ADAPTERS, error_of, finished, lora
from tuner.errors import DiskFull, TunerError
from tuner.files.run_folder import ADAPTER_FILE
from tuner.flux import loading
from tuner.flux.loading import Source
from tuner.settings.run import RunSettings
from tuner.training import merging
from tuner.training.exporting import Finished
from tuner.training.hardware import Hardware
from tuner.training.merging import merge
from tuner.training.prepare import load_with_adapter

CPU = torch.device("cpu")


def trained_output(one: Finished, strength: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """With and without the adapter."""
    transformer, adapter = load_with_adapter(one.settings, Hardware(CPU, torch.float32))
    adapter.load(load_file(one.checkpoint / ADAPTER_FILE))
    with adapter.strength(strength):
        tuned = output(transformer)
    with adapter.disabled():
        return tuned, output(transformer)


def merged_output(path: Path) -> torch.Tensor:
    return output(loading.transformer(Source(str(path), None), torch.float32, CPU))


@pytest.mark.parametrize("name", ["LoRA", "DoRA", "PiSSA", "LoKr", "OFT on outputs", "IA3", "full"])
def test_the_merged_model_acts_as_the_adapter(name: str, settings: RunSettings, tmp_path: Path) -> None:
    one = finished(settings, ADAPTERS[name])
    tuned, base = trained_output(one)
    for place in ("folder", "file.safetensors"):
        got = merged_output(merge(one, tmp_path / place, dtype=torch.float32))
        assert error_of(got - base, tuned - base) < 1e-4, place
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith((".", "f"))) == [
        "file.safetensors",
        "folder",
    ]


def test_bf16_and_half_the_strength(settings: RunSettings, tmp_path: Path) -> None:
    one = finished(settings, lora())
    tuned, _ = trained_output(one, 0.5)
    path = merge(one, tmp_path / "half.safetensors", strength=0.5)
    assert {tensor.dtype for tensor in load_file(path).values()} == {torch.bfloat16}
    assert error_of(merged_output(path), tuned) < 0.05


def test_bfl_has_its_own_names(settings: RunSettings, tmp_path: Path) -> None:
    names = load_file(merge(finished(settings, lora()), tmp_path / "a.safetensors")).keys()
    assert {
        "double_blocks.0.img_attn.qkv.weight",
        "double_blocks.0.txt_attn.norm.key_norm.scale",
        "single_blocks.0.linear1.bias",
        "final_layer.adaLN_modulation.1.weight",
    } <= names
    assert not [name for name in names if "transformer_blocks" in name]


def test_nothing_is_overwritten_and_a_full_disk_is_a_sentence(
    settings: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = finished(settings, lora())
    (tmp_path / "there").mkdir()
    with pytest.raises(TunerError, match="is there already"):
        merge(one, tmp_path / "there")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1))
    with pytest.raises(DiskFull, match="The merged model needs 0.3 GB"):
        merge(one, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("place", ["folder", "file.safetensors"])
def test_an_interrupted_merge_leaves_nothing(
    place: str, settings: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: int) -> None:
        raise OSError(28, "No space left on device")

    one = finished(settings, lora())
    monkeypatch.setattr(merging.os, "fsync", refused)
    with pytest.raises(DiskFull):
        merge(one, tmp_path / "out" / place)
    assert list((tmp_path / "out").iterdir()) == []

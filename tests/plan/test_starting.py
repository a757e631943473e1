"""A file to start from fits the settings, or a sentence says what would make it fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tuner import files
from tuner.adapters.shape import Linear
from tuner.errors import CheckpointMismatch
from tuner.plan import adapter, starting
from tuner.settings.adapter import Adapter
from tuner.settings.dataset import ImageDataset
from tuner.settings.run import RunSettings

BLOCK, SINGLE = "transformer_blocks.0.", "single_transformer_blocks.0."
PATHS = (
    *(f"{BLOCK}attn.{name}" for name in ("to_q", "to_k", "to_v", "to_out.0")),
    *(f"{BLOCK}attn.{name}" for name in ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")),
    *(f"{BLOCK}ff.net.0.proj", f"{BLOCK}ff.net.2"),
    *(f"{SINGLE}attn.{name}" for name in ("to_q", "to_k", "to_v")),
    *(f"{SINGLE}proj_mlp", f"{SINGLE}proj_out", "proj_out"),
)
LINEARS = tuple(Linear(path, 8, 8) for path in PATHS)
ATTENTION = tuple(path for path in PATHS if "attn" in path)


def settings(tmp_path: Path, modules: tuple[str, ...], suffix: str = "", **adapter: object) -> RunSettings:
    """Of a run that starts from a LoRA on these layers."""
    tensors = {}
    for path in modules:
        tensors[f"transformer.{path}.lora_A.weight"] = torch.zeros(2, 8)
        tensors[f"transformer.{path}.lora_B.weight"] = torch.zeros(8, 2)
        tensors |= {f"transformer.{path}.{suffix}": torch.ones(8, 1)} if suffix else {}
    save_file(tensors, tmp_path / "other.safetensors")
    adapter = {"init_lora": str(tmp_path / "other.safetensors"), **adapter}
    data = ImageDataset(id="pictures", instance_data_dir=str(tmp_path))
    return RunSettings(adapter=Adapter(**adapter), datasets=(data,))


def mended(before: RunSettings, error: CheckpointMismatch) -> RunSettings:
    return files.changed(before, error.advice[0].change)


def test_the_same_layers_are_no_trouble(tmp_path: Path) -> None:
    starting.refuse_misfit(settings(tmp_path, ATTENTION, flux_lora_target="all"), LINEARS)
    starting.refuse_misfit(RunSettings(), LINEARS)


@pytest.mark.parametrize(
    ("modules", "said"),
    [
        (tuple(p for p in ATTENTION if "add" not in p), "7 layers, and these settings train 11"),
        (tuple(p for p in PATHS if p != "proj_out"), "4 they leave out"),
        ((f"{BLOCK}attn.to_q", f"{SINGLE}attn.to_q"), "9 the file lacks"),
    ],
)
def test_other_layers_and_what_makes_them_fit(modules: tuple[str, ...], said: str, tmp_path: Path) -> None:
    asked = settings(tmp_path, modules, flux_lora_target="all")
    with pytest.raises(CheckpointMismatch, match=said) as refused:
        starting.refuse_misfit(asked, LINEARS)
    now = mended(asked, refused.value)
    assert {one.linear.path for one in adapter.trained(now, LINEARS)} == set(modules)
    starting.refuse_misfit(now, LINEARS)


def test_the_last_layer_alone_cannot_be_named(tmp_path: Path) -> None:
    asked = settings(tmp_path, (f"{BLOCK}attn.to_q", "proj_out"), flux_lora_target="all")
    with pytest.raises(CheckpointMismatch, match="1 they leave out, 10 the file lacks") as refused:
        starting.refuse_misfit(asked, LINEARS)
    assert [one.change for one in refused.value.advice] == [{"adapter.init_lora": None}]


def test_a_ready_made_target_is_named_where_one_fits(tmp_path: Path) -> None:
    asked = settings(tmp_path, ATTENTION, peft_lora_target_modules=("to_q",))
    with pytest.raises(CheckpointMismatch) as refused:
        starting.refuse_misfit(asked, LINEARS)
    assert refused.value.advice[0].change["adapter.flux_lora_target"] == "all"
    assert mended(asked, refused.value).adapter.peft_lora_target_modules is None


@pytest.mark.parametrize("suffix", ["lora_magnitude_vector", "dora_scale"])
def test_a_dora_wants_a_dora(suffix: str, tmp_path: Path) -> None:
    asked = settings(tmp_path, ATTENTION, suffix, flux_lora_target="all")
    with pytest.raises(CheckpointMismatch, match="holds a DoRA") as refused:
        starting.refuse_misfit(asked, LINEARS)
    starting.refuse_misfit(mended(asked, refused.value), LINEARS)


def test_a_lora_is_no_lycoris(tmp_path: Path) -> None:
    asked = settings(tmp_path, ATTENTION, flux_lora_target="all", lora_type="lycoris")
    with pytest.raises(CheckpointMismatch, match="plain LoRA, and these settings train a LyCORIS") as refused:
        starting.refuse_misfit(asked, LINEARS)
    assert mended(asked, refused.value).adapter.lora_type == "standard"


def test_a_layer_that_this_transformer_lacks(tmp_path: Path) -> None:
    asked = settings(tmp_path, (*ATTENTION, "transformer_blocks.7.attn.to_q"), flux_lora_target="all")
    with pytest.raises(CheckpointMismatch, match=r"this one has no 'transformer_blocks.7.attn.to_q'"):
        starting.refuse_misfit(asked, LINEARS)

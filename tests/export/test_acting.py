"""The weights that a file makes, at any strength and in every order of rows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.export.adapters import adapter_tensors, linear_names, tiny_transformer, write_adapter
from tuner.errors import TunerError
from tuner.export.acting import acting
from tuner.export.write import export

MODULE = "transformer_blocks.1.attn.to_k"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A LoRA on every linear layer."""
    transformer = tiny_transformer()
    tensors = adapter_tensors(transformer, linear_names(transformer), (2.0,))
    source = write_adapter(tmp_path / "lora.safetensors", tensors)
    return export(source, tmp_path / "out.safetensors").path


@pytest.mark.parametrize("module", [MODULE, "norm_out.linear", "single_transformer_blocks.0.proj_mlp"])
def test_the_effect_grows_with_the_strength(module: str, file: Path) -> None:
    weight = tiny_transformer().get_submodule(module).weight.detach()
    whole, half, none = (acting(file, s)(f"{module}.weight", weight) - weight for s in (1.0, 0.5, 0.0))
    from_checkpoint = _delta(file.parent / "lora.safetensors", module)
    assert torch.allclose(whole, from_checkpoint, atol=1e-6) and whole.abs().max() > 1e-3
    assert torch.allclose(half, whole / 2, atol=1e-6) and not none.any()


def test_what_is_not_in_the_file_stays_as_it_is(file: Path) -> None:
    values = torch.ones(64, dtype=torch.bfloat16)
    for name in (f"{MODULE}.bias", "transformer_blocks.1.attn.norm_q.weight"):
        assert acting(file)(name, values) is values


def test_a_bias_of_a_fused_layer_gets_its_own_rows(tmp_path: Path) -> None:
    diff = torch.arange(12.0)
    save_file({"diffusion_model.double_blocks.1.img_attn.qkv.bias.diff": diff}, tmp_path / "a.safetensors")
    change = acting(tmp_path / "a.safetensors")
    assert torch.equal(change(f"{MODULE}.bias", torch.zeros(4)), diff[4:8])


def test_a_fused_lora_of_kohya_gets_its_own_rows(tmp_path: Path) -> None:
    up, down = torch.randn(12, 2), torch.randn(2, 5)
    stem = "lora_unet_double_blocks_1_img_attn_qkv"
    save_file({f"{stem}.lora_up.weight": up, f"{stem}.lora_down.weight": down}, tmp_path / "a.safetensors")
    made = acting(tmp_path / "a.safetensors", 0.5)(f"{MODULE}.weight", torch.ones(4, 5))
    assert torch.allclose(made, 1 + 0.5 * (up @ down)[4:8], atol=1e-6)


def test_what_comfyui_would_not_load_is_a_sentence(tmp_path: Path) -> None:
    save_file({"strange.weight": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(TunerError, match="leave out 1 of 1 tensors of 'a.safetensors'"):
        acting(tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").write_bytes(b"half")
    with pytest.raises(TunerError, match="cannot be read"):
        acting(tmp_path / "a.safetensors")


def _delta(source: Path, module: str) -> torch.Tensor:
    from safetensors.torch import load_file

    tensors = load_file(source)
    down, up = (tensors[f"transformer.{module}.lora_{one}.weight"] for one in "AB")
    return tensors[f"transformer.{module}.alpha"] / len(down) * (up @ down)

"""A run that starts from a file: from a checkpoint, or from an export in either dialect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.adapters.small import shaken
from tests.training.conftest import plan_of
from tests.training.test_exporting import finished, lora
from tuner import files
from tuner.errors import CheckpointMismatch, SettingsInvalid, TunerError
from tuner.files.run_folder import ADAPTER_FILE
from tuner.flux.objective import Conditions, predict_velocity
from tuner.settings.run import RunSettings
from tuner.training.control import Control
from tuner.training.exporting import export_adapter
from tuner.training.hardware import find_hardware
from tuner.training.prepare import load_with_adapter
from tuner.training.run import run


def starting(settings: RunSettings, **choice: object) -> RunSettings:
    return replace(settings, adapter=replace(settings.adapter, **choice))


@torch.no_grad()
def output(transformer: torch.nn.Module) -> torch.Tensor:
    dice = torch.Generator().manual_seed(3)
    width = transformer.config.joint_attention_dim
    noisy = torch.randn(1, 16, 8, 8, generator=dice)
    prompts = Conditions(torch.randn(1, width, generator=dice), torch.randn(1, 6, width, generator=dice))
    return predict_velocity(transformer.eval(), noisy, torch.tensor([0.4]), prompts, torch.ones(1))


@pytest.mark.parametrize("init", ["default", "pissa"])
def test_a_run_starts_where_the_file_ends(init: str, settings: RunSettings, tmp_path: Path) -> None:
    hardware = find_hardware(settings, lambda _: None)
    transformer, adapter = load_with_adapter(starting(settings, lora_init_type=init), hardware)
    path = tmp_path / "lora.safetensors"
    save_file(shaken(adapter).tensors(), path)
    begun, _ = load_with_adapter(starting(settings, init_lora=str(path), lora_rank=9), hardware)
    assert torch.allclose(output(begun), output(transformer), atol=1e-5)


def test_an_export_without_alpha_is_taken_at_full_strength(settings: RunSettings, tmp_path: Path) -> None:
    hardware = find_hardware(settings, lambda _: None)
    transformer, adapter = load_with_adapter(starting(settings, lora_alpha=None), hardware)
    tensors = shaken(adapter).tensors()
    path = tmp_path / "lora.safetensors"
    save_file({key: one for key, one in tensors.items() if not key.endswith(".alpha")}, path)
    begun, _ = load_with_adapter(starting(settings, init_lora=str(path), lora_alpha=1.0), hardware)
    assert torch.equal(output(begun), output(transformer))


def test_every_key_of_the_file_must_have_its_place(settings: RunSettings, tmp_path: Path) -> None:
    hardware = find_hardware(settings, lambda _: None)
    _, adapter = load_with_adapter(settings, hardware)
    path = tmp_path / "lora.safetensors"
    save_file({**adapter.tensors(), "transformer.elsewhere.alpha": torch.tensor(1.0)}, path)
    with pytest.raises(CheckpointMismatch, match="1 of 94 keys that no layer of FLUX.1 has, the first is"):
        load_with_adapter(starting(settings, init_lora=str(path)), hardware)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(TunerError, match="is not complete"):
        load_with_adapter(starting(settings, init_lora=str(path)), hardware)


def test_a_dora_goes_on_from_what_comfyui_reads(settings: RunSettings, tmp_path: Path) -> None:
    """The norms that were converted for ComfyUI are those of training again, also in the last layer."""
    one = finished(settings, lora(use_dora=True))
    path = export_adapter(one, tmp_path / "dora.safetensors").path
    hardware = find_hardware(settings, lambda _: None)
    _, begun = load_with_adapter(files.changed(one.settings, {"adapter.init_lora": str(path)}), hardware)
    wanted, got = load_file(one.checkpoint / ADAPTER_FILE), begun.tensors()
    assert got.keys() == wanted.keys()
    assert all(torch.allclose(got[key], wanted[key], rtol=1e-5, atol=1e-6) for key in wanted)


def test_a_dora_begins_with_the_effect_of_a_lora(settings: RunSettings, tmp_path: Path) -> None:
    one = finished(settings, lora())
    hardware = find_hardware(settings, lambda _: None)
    outputs = []
    for change in ({}, {"adapter.use_dora": True}):
        wish = {"adapter.init_lora": str(one.checkpoint / ADAPTER_FILE), **change}
        outputs.append(output(load_with_adapter(files.changed(one.settings, wish), hardware)[0]))
    assert torch.allclose(*outputs, atol=1e-5)


def test_the_count_goes_on_from_the_files_step(settings: RunSettings, tmp_path: Path) -> None:
    hardware = find_hardware(settings, lambda _: None)
    _, adapter = load_with_adapter(settings, hardware)
    path = tmp_path / "lora.safetensors"
    save_file(adapter.tensors(), path, {"global_step": "4"})
    begun = plan_of(starting(settings, init_lora=str(path)))
    assert begun.first_step == 4 and begun.resume_from is None
    assert "The count begins at step 4, as far as 'init_lora' was trained." in begun.notes
    assert plan_of(starting(settings, init_lora=str(path), init_lora_step=0)).first_step == 0
    save_file(adapter.tensors(), path, {"global_step": "6"})
    with pytest.raises(SettingsInvalid, match="has 6 steps behind it already") as refused:
        plan_of(starting(settings, init_lora=str(path)))
    assert refused.value.problems[0].change == {"adapter.init_lora_step": 0}
    assert load_file(path)


@pytest.mark.parametrize("algo", ["lokr", "dylora", "full"])
def test_a_lycoris_goes_on_bit_for_bit(algo: str, settings: RunSettings, tmp_path: Path) -> None:
    """With every dropout, and blocks that are computed again: all dice are the run's own."""
    asked = replace(
        starting(settings, lora_type="lycoris"),
        memory=replace(settings.memory, gradient_checkpointing=True),
        sampling=replace(settings.sampling, validation_disable=True),
        dataset=replace(settings.dataset, cache_dir=str(tmp_path / "cache")),
        lycoris={
            "algo": algo,
            "multiplier": 1.0,
            "linear_dim": 4,
            "linear_alpha": 2,
            "block_size": 2,
            "dropout": 0.1,
            "rank_dropout": 0.1,
            "module_dropout": 0.1,
            "apply_preset": {"target_module": ["Attention"]},
        },
    )
    ends = []
    for name, stops in (("whole", (4,)), ("broken", (2, 4))):
        saving = replace(asked.saving, output_dir=str(tmp_path / name))
        for last in stops:
            plan = plan_of(replace(asked, saving=saving), max_train_steps=last)
            run(plan, lambda _: None, Control())
        ends.append(load_file(tmp_path / name / "checkpoint-4" / ADAPTER_FILE))
        assert (tmp_path / name / "checkpoint-4" / "lycoris_config.json").is_file()
    whole, broken = ends
    assert whole.keys() == broken.keys() and all(torch.equal(whole[key], broken[key]) for key in whole)

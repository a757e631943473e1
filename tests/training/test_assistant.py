"""Where the assistant LoRA is read from, and what is said where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tuner.adapters.assistant import Strengths
from tuner.errors import ModelMissing
from tuner.files.run_folder import ADAPTER_FILE
from tuner.flux import catalog
from tuner.plan.sources import assistant_place
from tuner.settings.adapter import Adapter
from tuner.settings.model import Model
from tuner.settings.run import RunSettings
from tuner.training import assistant
from tuner.training.assistant import attach_assistant
from tuner.training.hardware import Hardware

CPU = Hardware(torch.device("cpu"), torch.float32)
TENSORS = {"transformer.0.lora_A.weight": torch.ones(1, 2), "transformer.0.lora_B.weight": torch.ones(3, 1)}


def asked(flavour: str = "schnell", **adapter: object) -> RunSettings:
    return RunSettings(model=Model(model_flavour=flavour), adapter=Adapter(**adapter))


def acts(settings: RunSettings) -> bool:
    model = nn.Sequential(nn.Linear(2, 3)).train()
    before = model(torch.ones(1, 2))
    attach_assistant(settings, model, CPU)
    return not torch.equal(model(torch.ones(1, 2)), before)


def test_schnell_has_one_of_its_own_and_the_settings_may_name_another() -> None:
    assert assistant_place(asked()) == catalog.flavour("schnell").assistant
    assert assistant_place(asked("dev")) is None
    assert assistant_place(asked("dev", assistant_lora_path="mine.safetensors")) == "mine.safetensors"
    assert assistant_place(asked(disable_assistant_lora=True, assistant_lora_path="x")) is None


def test_a_file_or_a_folder_will_do(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / ADAPTER_FILE)
    assert acts(asked(assistant_lora_path=str(tmp_path)))
    assert acts(asked(assistant_lora_path=str(tmp_path / ADAPTER_FILE)))
    assert not acts(asked("dev"))


def test_a_hub_name_is_fetched_under_its_usual_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file(TENSORS, tmp_path / "fetched.safetensors")
    wanted = []

    def fetch(*names: str) -> str:
        wanted.append(names)
        return str(tmp_path / "fetched.safetensors")

    monkeypatch.setattr(assistant, "hf_hub_download", fetch)
    assert acts(asked())
    assert wanted == [("ostris/FLUX.1-schnell-training-adapter", ADAPTER_FILE)]


def test_without_a_network_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: str) -> str:
        raise OSError("no network")

    monkeypatch.setattr(assistant, "hf_hub_download", offline)
    with pytest.raises(ModelMissing, match="was not found here and could not be fetched") as refused:
        acts(asked())
    assert refused.value.advice[-1].change == {"adapter.disable_assistant_lora": True}


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / ADAPTER_FILE).write_bytes(b"12345678 nothing")
    with pytest.raises(ModelMissing, match="is damaged"):
        acts(asked(assistant_lora_path=str(tmp_path)))


def test_both_strengths_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file(TENSORS, tmp_path / ADAPTER_FILE)
    seen = []
    monkeypatch.setattr(assistant.assistant, "attach", lambda *given: seen.append(given[2]))
    chosen = asked(assistant_lora_path=str(tmp_path), assistant_lora_strength=0.5)
    changed = replace(chosen, adapter=replace(chosen.adapter, assistant_lora_inference_strength=0.25))
    attach_assistant(changed, nn.Sequential(), CPU)
    assert seen == [Strengths(0.5, 0.25)]

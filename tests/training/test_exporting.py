"""A run's file, read as ComfyUI reads it, makes of the base what the run made of it, and says how."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxTransformer2DModel
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.export.algorithms import changes_of
from tuner import files
from tuner.errors import TunerError
from tuner.events import RunStarted, SampleReady
from tuner.files import journal
from tuner.files.run_folder import ADAPTER_FILE, RunFolder
from tuner.settings.request import SampleRequest
from tuner.settings.run import RunSettings
from tuner.settings.sampling import SamplePrompt
from tuner.training import exporting
from tuner.training.exporting import Finished, export_adapter, write_expected
from tuner.training.hardware import Hardware
from tuner.training.picture_files import save
from tuner.training.prepare import load_with_adapter

EVERYWHERE = {
    "target_module": ["FluxTransformerBlock", "FluxSingleTransformerBlock"],
    "target_name": [".*embedder.*", "norm_out.linear", "proj_out"],
}
ENDINGS = (
    "to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out", "net.0.proj",
    "net.2", "linear", "linear_1", "linear_2", "proj_mlp", "proj_out", "x_embedder", "context_embedder",
)  # fmt: skip


def lora(**others: Any) -> dict[str, Any]:
    return {"adapter.peft_lora_target_modules": list(ENDINGS), "adapter.lora_alpha": 2.0} | {
        f"adapter.{name}": value for name, value in others.items()
    }


def lycoris(algo: str, **others: Any) -> dict[str, Any]:
    config = {"algo": algo, "linear_dim": 4, "linear_alpha": 2, "factor": 4, **others}
    return {"adapter.lora_type": "lycoris", "lycoris": {**config, "apply_preset": EVERYWHERE}}


ADAPTERS: dict[str, dict[str, Any]] = {
    "LoRA": lora(),
    "DoRA": lora(use_dora=True),
    "PiSSA": lora(lora_init_type="pissa"),
    "OLoRA": lora(lora_init_type="olora"),
    "LoCon": lycoris("lora"),
    "DyLoRA": lycoris("dylora"),
    "LoKr": lycoris("lokr"),
    "LoKr whole": lycoris("lokr", linear_dim=10000),
    "LoKr, DoRA": lycoris("lokr", dora_wd=True),
    "LoKr, DoRA by columns": lycoris("lokr", dora_wd=True, wd_on_output=False),
    "LoKr at half strength": lycoris("lokr", multiplier=0.5),
    "LoHa": lycoris("loha"),
    "GLoRA": lycoris("glora"),
    "OFT": lycoris("diag-oft"),
    "OFT rescaled within a constraint": lycoris("diag-oft", rescaled=True, constraint=1e-4),
    "OFT on outputs": lycoris("diag-oft", bypass_mode=True),
    "BOFT": lycoris("boft", linear_dim=18),
    "IA3": lycoris("ia3"),
    "IA3 on outputs": lycoris("ia3", bypass_mode=True),
    "full": lycoris("full"),
}


def finished(settings: RunSettings, change: Mapping[str, Any]) -> Finished:
    """A checkpoint of an adapter that is no more what it was at the start."""
    settings = files.changed(settings, change)
    folder = RunFolder(Path(settings.saving.output_dir))
    _, adapter = load_with_adapter(settings, Hardware(torch.device("cpu"), torch.float32))
    dice = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter += torch.randn(parameter.shape, generator=dice) / 20
    checkpoint = folder.checkpoint(7)
    checkpoint.mkdir(parents=True)
    config = adapter.config()
    told = {} if config is None else {"lycoris_config": json.dumps(dict(config))}
    save_file(adapter.tensors(), checkpoint / ADAPTER_FILE, metadata=told)
    return Finished(settings, folder, checkpoint, 7)


def error_of(got: Tensor, wanted: Tensor) -> float:
    return ((got - wanted).norm() / wanted.norm()).item()


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_third_program_gets_the_trained_output(
    name: str, settings: RunSettings, flux: Path, tmp_path: Path
) -> None:
    """Only with the file, the base model and what `--expected` wrote."""
    one = finished(settings, ADAPTERS[name])
    report = export_adapter(one, tmp_path / "out.safetensors")
    expected = load_file(write_expected(one, tmp_path / "expected.safetensors"))
    output, output_base = expected.pop("output"), expected.pop("output_base")
    assert all(tensor.dtype == torch.float32 for tensor in expected.values())
    transformer = FluxTransformer2DModel.from_pretrained(flux, subfolder="transformer").eval()
    parameters = transformer.state_dict()
    with torch.no_grad():
        assert torch.allclose(transformer(**expected, return_dict=False)[0], output_base, atol=1e-5)
        transformer.load_state_dict(
            {
                key: parameters[key] + value
                for key, value in changes_of(report.path, "comfyui", parameters).items()
            }
        )
        got = transformer(**expected, return_dict=False)[0]
    assert error_of(output - output_base, output_base) > 1e-3
    assert error_of(got - output_base, output - output_base) < 1e-4
    assert "were compared" in report.verdict.sentence and "out of reach" not in report.verdict.sentence


def test_the_expected_outputs_of_a_quantized_base(settings: RunSettings, tmp_path: Path) -> None:
    one = finished(settings, {"memory.base_model_precision": "int8-quanto"})
    path = write_expected(one, tmp_path / "expected.safetensors")
    with safe_open(path, "pt") as file:
        assert file.metadata()["base_model_precision"] == "int8-quanto"
    tensors = load_file(path)
    assert tensors["output"].isfinite().all() and not torch.equal(tensors["output"], tensors["output_base"])


def test_nothing_is_overwritten(settings: RunSettings, tmp_path: Path) -> None:
    one, there = finished(settings, {}), tmp_path / "expected.safetensors"
    there.write_bytes(b"precious")
    assert write_expected(one, there).name == "expected-2.safetensors"
    assert there.read_bytes() == b"precious"


def test_without_the_base_model_a_lora_is_written_and_dora_is_not(
    settings: RunSettings, tmp_path: Path
) -> None:
    gone = {"pretrained_model_name_or_path": str(tmp_path / "gone")}
    for change, words in ((lora(), None), (lora(use_dora=True), "Without the weights of the base model")):
        one = finished(
            replace(settings, saving=replace(settings.saving, output_dir=str(tmp_path / str(words)))), change
        )
        lost = replace(one, settings=replace(one.settings, model=replace(one.settings.model, **gone)))
        if words is None:
            export_adapter(lost, tmp_path / "lora.safetensors")
        else:
            with pytest.raises(TunerError, match=words):
                export_adapter(lost, tmp_path / "dora.safetensors")


def test_the_header_tells_the_recipe_and_shows_the_preview(settings: RunSettings, tmp_path: Path) -> None:
    one = finished(settings, lora())
    one.folder.samples.mkdir(parents=True)
    Image.new("RGB", (64, 64), "red").save(one.folder.samples / "step_7_house_0_64x64.png")
    one.folder.events.write_text(
        '{"event": "RunStarted", "time": 1000.0, "run": "r", "phases": [], "num_steps": 1}\n'
    )
    with safe_open(export_adapter(one, tmp_path / "out.safetensors").path, "pt") as file:
        header = file.metadata()
    recipe = json.loads(header["fluxtuner.recipe"])
    assert recipe["config.json"]["lora_rank"] == 4 and recipe["user_prompt_library.json"]["house"]
    assert "output_dir" not in recipe["config.json"] and str(tmp_path) not in json.dumps(header)
    assert header["modelspec.thumbnail"].startswith("data:image/jpeg;base64,")
    assert header["ss_training_started_at"] == "1000.0"


@pytest.mark.parametrize(
    "secret", ["/home/anna/pictures", "C:\\Users\\Anna", "hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ", "anna@example.org"]
)
def test_nothing_private_in_the_file(secret: str, settings: RunSettings, tmp_path: Path) -> None:
    """Neither of the settings, nor of the samples in the workflow, nor of the preview's own notes."""
    one = finished(settings, lora())
    planted = replace(
        one.settings,
        library=(SamplePrompt(secret, f"a sks, {secret}"),),
        saving=replace(one.settings.saving, modelspec_comment=secret, tracker_run_name=secret),
        environment={"HF_TOKEN": secret},
    )
    one.folder.samples.mkdir(parents=True)
    path = one.folder.samples / "step_7_house_0_64x64.png"
    save(Image.new("RGB", (64, 64), "red"), path, SampleRequest(f"a sks, {secret}", 3), 90)
    with journal.open_end(one.folder.events) as lines:
        journal.append(lines, RunStarted(run=secret, phases=("train",), num_steps=7))
        sample = SampleReady(step=7, name="house", prompt=f"a sks, {secret}", seed=3, path=str(path))
        journal.append(lines, sample)
    file = export_adapter(replace(one, settings=planted), tmp_path / "out.safetensors").path
    whole = file.read_bytes().lower()
    assert b"anna" not in whole and secret.lower().encode() not in whole
    assert str(tmp_path).encode() not in whole and b"thumbnail" in whole


def test_only_the_preview_of_that_step_is_shown(settings: RunSettings) -> None:
    folder = RunFolder(Path(settings.saving.output_dir))
    folder.samples.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder.samples / "step_70_house_0_8x8.png")
    assert exporting._preview(folder, 7) is None

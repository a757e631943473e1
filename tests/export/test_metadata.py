"""The header says what tools look for, and nothing that belongs to the user alone."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.export.adapters import adapter_tensors, linear_names, tiny_transformer, write_adapter
from tuner.export import private
from tuner.export.metadata import metadata
from tuner.export.write import MAX_HEADER_BYTES, export
from tuner.files import five
from tuner.settings.dataset import ImageDataset
from tuner.settings.run import RunSettings
from tuner.settings.sampling import SamplePrompt


def settings_with(**sections: dict[str, Any]) -> RunSettings:
    """Defaults with some values changed, `datasets=[{...}]` among them."""
    datasets = tuple(ImageDataset(**one) for one in sections.pop("datasets", []))
    settings = replace(RunSettings(), datasets=datasets)
    changed = {name: replace(getattr(settings, name), **values) for name, values in sections.items()}
    return replace(settings, **changed)


SKS = settings_with(
    model={"model_flavour": "dev"},
    adapter={"lora_rank": 8, "lora_alpha": 4.0},
    optimization={"learning_rate": 2e-4, "optimizer": "adamw_bf16", "seed": 42, "max_train_steps": 500},
    saving={"tracker_run_name": "sks teapot", "output_dir": "runs/teapot", "modelspec_comment": "first try"},
    datasets=[{"id": "a", "instance_prompt": "sks teapot", "resolution": 512.0, "resolution_type": "pixel"}],
)


def test_what_tools_look_for() -> None:
    header = metadata(SKS, 300, started_at=1000.0, finished_at=1_786_000_000.0)
    expected = {
        "format": "pt",
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": "flux-1-dev/lora",
        "modelspec.implementation": "https://github.com/black-forest-labs/flux",
        "modelspec.title": "sks teapot",
        "modelspec.resolution": "512x512",
        "modelspec.trigger_phrase": "sks teapot",
        "modelspec.comment": "first try",
        "ss_output_name": "sks teapot",
        "ss_base_model_version": "flux1",
        "ss_sd_model_name": "black-forest-labs/FLUX.1-dev",
        "ss_steps": "300",
        "ss_max_train_steps": "500",
        "ss_learning_rate": "0.0002",
        "ss_optimizer": "adamw_bf16",
        "ss_seed": "42",
        "ss_resolution": "(512, 512)",
        "ss_training_started_at": "1000.0",
        "global_step": "300",
    }
    assert expected.items() <= header.items()
    assert "sks teapot" in header["modelspec.usage_hint"] and "300 steps" in header["modelspec.description"]
    assert json.loads(header["ss_tag_frequency"]) == {"1_sks teapot": {"sks teapot": 1}}
    assert json.loads(header["trained_words"]) == ["sks teapot"]
    assert datetime.fromisoformat(header["modelspec.date"]).timestamp() == 1_786_000_000


def test_text_only_and_nothing_empty() -> None:
    for settings in (SKS, RunSettings()):
        header = metadata(settings, 1)
        assert all(isinstance(text, str) and text for pair in header.items() for text in pair)
    assert "None" not in metadata(RunSettings(), 1).values()


def test_no_peft_metadata_beside_alpha() -> None:
    """diffusers raises where a file has both."""
    assert "lora_adapter_metadata" not in metadata(SKS, 1)


def test_without_trigger_and_name() -> None:
    header = metadata(settings_with(saving={"output_dir": "runs/teapot"}), 1)
    assert header["modelspec.title"] == "teapot"
    assert not {"modelspec.trigger_phrase", "ss_tag_frequency", "trained_words"} & header.keys()


@pytest.mark.parametrize(
    ("model", "name", "architecture"),
    [
        ({}, "black-forest-labs/FLUX.1-Krea-dev", "flux-1-dev/lora"),
        ({"model_flavour": "schnell"}, "black-forest-labs/FLUX.1-schnell", "flux-1-schnell/lora"),
        ({"pretrained_model_name_or_path": "anna-lab/My.Flux"}, "anna-lab/My.Flux", "flux-1-dev/lora"),
        ({"pretrained_model_name_or_path": "/models/flux"}, None, "flux-1-dev/lora"),
        ({"pretrained_model_name_or_path": "tuner/practice/model"}, None, "flux-1-dev/lora"),
    ],
)
def test_the_base_model(model: dict[str, str], name: str | None, architecture: str) -> None:
    header = metadata(settings_with(model=model), 1)
    assert (header.get("ss_sd_model_name"), header["modelspec.architecture"]) == (name, architecture)


@pytest.mark.parametrize(
    ("objective", "word"),
    [
        ({}, "shift"),
        ({"flow_schedule_shift": 0.0}, "sigmoid"),
        ({"flow_schedule_auto_shift": True}, "flux_shift"),
        ({"flow_use_uniform_schedule": True}, "uniform"),
        ({"flow_use_beta_schedule": True}, "beta"),
    ],
)
def test_how_noise_levels_were_drawn(objective: dict[str, Any], word: str) -> None:
    assert metadata(settings_with(objective=objective), 1)["ss_timestep_sampling"] == word


def test_megapixels_become_an_edge() -> None:
    settings = settings_with(datasets=[{"id": "a", "resolution": 1.0, "resolution_type": "area"}])
    assert metadata(settings, 1)["modelspec.resolution"] == "1000x1000"


def test_a_quantized_base_is_named() -> None:
    hint = metadata(settings_with(memory={"base_model_precision": "int8-quanto"}), 1)["modelspec.usage_hint"]
    assert "int8-quanto" in hint


SECRETS = (
    "/home/anna/pictures",
    "teapot from C:\\Users\\Anna\\x",
    "\\\\server\\share",
    "~/loras/teapot",
    "see file:///tmp/x",
    "hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ",
    "sk-proj-aBcDeFgHiJkLmNoPqRs",
    "0123456789abcdef0123456789abcdef01234567",
    "anna@example.org",
    "by planted-user",
    "on planted-host",
)


@pytest.fixture
def _planted_names(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("USER", "planted-user")
    monkeypatch.setattr(socket, "gethostname", lambda: "planted-host.local")
    private._names.cache_clear()
    yield
    private._names.cache_clear()


@pytest.mark.usefixtures("_planted_names")
@pytest.mark.parametrize("secret", SECRETS)
def test_nothing_private_in_the_header(secret: str) -> None:
    """Planted in every setting that is free text."""
    planted = RunSettings()
    for section in (
        "model",
        "memory",
        "adapter",
        "optimization",
        "objective",
        "dataset",
        "sampling",
        "saving",
    ):
        owner = getattr(planted, section)
        texts = {
            name: secret
            for name, value in vars(owner).items()
            if value is None and _is_free_text(owner, name)
        }
        planted = replace(planted, **{section: replace(owner, **texts)})
    saving = replace(planted.saving, tracker_run_name=secret, output_dir=secret, tracker_project_name=secret)
    dataset = ImageDataset(id=secret, instance_data_dir=secret, instance_prompt=secret)
    planted = replace(
        planted, saving=saving, datasets=(dataset,), environment={"HF_TOKEN": secret}, lycoris={"x": secret}
    )
    planted = replace(planted, library=(SamplePrompt(secret, secret), SamplePrompt("a", secret)))
    documents = {**five.documents_of(five.texts_of(planted), {}), "config.env": dict(planted.environment)}
    documents["config.json"] |= {"unknown": secret, "nested": {"deep": [secret, {"er": secret}]}}
    header = json.dumps(metadata(planted, 1, documents=documents), ensure_ascii=False)
    for _ in range(3):  # the recipe is JSON within JSON
        header = header.replace("\\\\", "\\")
    assert planted.saving.modelspec_comment == planted.model.pretrained_model_name_or_path == secret
    assert secret not in header and "anna" not in header.lower() and "planted" not in header


def _is_free_text(owner: Any, name: str) -> bool:
    field = type(owner).__dataclass_fields__[name]
    return "str" in str(field.type) and "choices" not in field.metadata


@pytest.mark.parametrize(
    "text",
    [
        "sks",
        "a photo of sks and/or a 24/7 shop",
        "black / white",
        "https://civitai.com/models/123",
        "TOK style, 35mm f/1.8",
        "root vegetable",
        "Kodak_Portra-400",
        "16:9",
        "ratio 3:/ no",
    ],
)
@pytest.mark.usefixtures("_planted_names")
def test_ordinary_words_are_not_private(text: str) -> None:
    assert not private.is_private(text)


def test_a_path_of_this_computer_is_private(tmp_path: Path) -> None:
    assert private.is_private(str(tmp_path))


def test_the_longest_texts_stay_under_the_limit(tmp_path: Path) -> None:
    long = "ä" * 2000
    settings = replace(SKS, datasets=(ImageDataset(id="a", instance_prompt=long),))
    settings = replace(
        settings, saving=replace(settings.saving, tracker_run_name=long, modelspec_comment="x" * 9999)
    )
    header = metadata(settings, 1)
    assert header["modelspec.trigger_phrase"] == long and "modelspec.comment" not in header
    transformer = tiny_transformer()
    tensors = adapter_tensors(transformer, linear_names(transformer), (1.0,))
    source = write_adapter(tmp_path / "source.safetensors", tensors)
    data = export(source, tmp_path / "out.safetensors", metadata=header).path.read_bytes()
    assert int.from_bytes(data[:8], "little") < MAX_HEADER_BYTES / 4

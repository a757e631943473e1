"""Loading through the weight store: the same model bit for bit, and the source is not read again."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tuner.flux.weights import Weights
from tuner.quantization import store, store_folder
from tuner.settings.run import RunSettings
from tuner.training import kept, models
from tuner.training.hardware import Hardware

BF16 = Hardware(torch.device("cpu"), torch.bfloat16)


@pytest.fixture(autouse=True)
def small_models_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "LEAST_BYTES", 0)
    monkeypatch.setattr(store, "SPARE_BYTES", 0)
    monkeypatch.setattr(store_folder.constants, "HF_HOME", str(tmp_path / "hf"))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the weights that were read from the source."""
    names: list[str] = []
    plainly = Weights.read

    def watched(self: Weights, name: str) -> torch.Tensor:
        names.append(name)
        return plainly(self, name)

    monkeypatch.setattr(Weights, "read", watched)
    return names


def chosen(settings: RunSettings, precision: str) -> RunSettings:
    return replace(settings, memory=replace(settings.memory, base_model_precision=precision))


def outputs(settings: RunSettings) -> torch.Tensor:
    transformer = models.load_transformer(settings, BF16)
    config, random = transformer.config, torch.Generator().manual_seed(1)

    def noise(*size: int) -> torch.Tensor:
        return torch.randn(size, generator=random).bfloat16()

    with torch.no_grad():
        made: torch.Tensor = transformer(
            hidden_states=noise(1, 4, config.in_channels),
            timestep=torch.tensor([0.5]).bfloat16(),
            guidance=torch.tensor([3.0]).bfloat16(),
            pooled_projections=noise(1, config.pooled_projection_dim),
            encoder_hidden_states=noise(1, 6, config.joint_attention_dim),
            txt_ids=torch.zeros(6, 3),
            img_ids=torch.zeros(4, 3),
            return_dict=False,
        )[0]
    return made


@pytest.mark.parametrize("precision", ["int8-quanto", "int4-quanto", "nf4-bnb"])
def test_a_second_start_reads_the_store_and_gives_equal_bits(
    settings: RunSettings, precision: str, read: list[str]
) -> None:
    first = outputs(chosen(settings, precision))
    assert len(read) > 100
    read.clear()
    assert torch.equal(outputs(chosen(settings, precision)), first)
    assert all("norm_" in name or name.split(".")[0] in models.UNQUANTIZED for name in read)
    (folder,) = store_folder.folder().iterdir()
    assert folder.name.startswith(precision)


def test_each_precision_and_format_has_its_own(settings: RunSettings) -> None:
    for precision in ("int8-quanto", "nf4-bnb", "no_change"):
        outputs(chosen(settings, precision))
    models.load_transformer(chosen(settings, "nf4-bnb"), Hardware(torch.device("cpu"), torch.float32))
    assert sorted(path.name.split("-")[0] for path in store_folder.folder().iterdir()) == [
        "int8",
        "nf4",
        "nf4",
    ]


def test_a_changed_source_is_noticed(settings: RunSettings, read: list[str], flux: Path) -> None:
    first = outputs(chosen(settings, "int8-quanto"))
    number, weights = len(read), flux / "transformer" / "diffusion_pytorch_model.safetensors"
    os.utime(weights)
    assert torch.equal(outputs(chosen(settings, "int8-quanto")), first) and len(read) == 2 * number
    assert len(list(store_folder.folder().iterdir())) == 1


def test_a_damaged_layer_alone_is_read_again(settings: RunSettings, read: list[str]) -> None:
    first = outputs(chosen(settings, "int8-quanto"))
    damaged = next(store_folder.folder().glob("*/single_transformer_blocks.0.proj_mlp.safetensors"))
    damaged.write_bytes(damaged.read_bytes()[:-9])
    for layers in ({"single_transformer_blocks.0.proj_mlp"}, set()):
        read.clear()
        assert torch.equal(outputs(chosen(settings, "int8-quanto")), first)
        from_source = {name.rpartition(".")[0] for name in read if "norm_" not in name}
        assert from_source - set(models.UNQUANTIZED) == layers


def test_a_small_model_is_not_kept(settings: RunSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "LEAST_BYTES", 10**9)
    models.load_transformer(chosen(settings, "int8-quanto"), BF16)
    assert not store_folder.folder().exists()

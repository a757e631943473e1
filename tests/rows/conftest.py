"""A FLUX as small as it can be, and settings of three steps on it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import FluxTransformer2DModel
from PIL import Image
from torch import nn

from tuner.practice import parts
from tuner.settings.adapter import Adapter
from tuner.settings.dataset import ImageDataset
from tuner.settings.dataset_defaults import Dataset
from tuner.settings.memory import Memory
from tuner.settings.model import Model
from tuner.settings.optimization import Optimization
from tuner.settings.run import RunSettings
from tuner.settings.sampling import Sampling
from tuner.settings.saving import Saving

NUM_STEPS = 3


def write_flux(folder: Path, num_single_layers: int = 2, guidance_embeds: bool = True) -> Path:
    """128 wide, since 4-bit formats share a scale among 128 weights; nothing is left at zero."""
    torch.manual_seed(7)
    model = FluxTransformer2DModel(
        in_channels=64,
        num_layers=1,
        num_single_layers=num_single_layers,
        attention_head_dim=32,
        num_attention_heads=4,
        joint_attention_dim=parts.TEXT_WIDTH,
        pooled_projection_dim=parts.TEXT_WIDTH,
        guidance_embeds=guidance_embeds,
        axes_dims_rope=(8, 12, 12),
    )
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.05)
    parts.save_pipeline(folder, parts.vae(), model, parts.text_encoders())
    return folder


@pytest.fixture(scope="session")
def flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flux(tmp_path_factory.mktemp("flux"))


@pytest.fixture(scope="session")
def flux_without_guidance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flux(tmp_path_factory.mktemp("schnell"), guidance_embeds=False)


@pytest.fixture(scope="session")
def deep_flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With all the layers that `flux_lora_target` may name: `tiny` trains single blocks 7 and 20."""
    return write_flux(tmp_path_factory.mktemp("deep"), num_single_layers=21)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number, colour in enumerate(("red", "green")):
        Image.new("RGB", (64, 64), colour).save(folder / f"{colour} {number}.png")
        (folder / f"{colour} {number}.txt").write_text(f"a sks on {colour}", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all rows: what does not differ is encoded once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def settings(flux: Path, pictures: Path, cache: Path, tmp_path: Path) -> RunSettings:
    return RunSettings(
        model=Model(
            model_flavour="dev",
            pretrained_model_name_or_path=str(flux),
            mixed_precision="no",
            vae_dtype="fp32",
            tokenizer_max_length=8,
        ),
        memory=Memory(gradient_checkpointing=False),
        adapter=Adapter(lora_rank=2, lora_dropout=0.0),
        optimization=Optimization(train_batch_size=1, max_train_steps=NUM_STEPS, learning_rate=1e-3, seed=1),
        dataset=Dataset(cache_dir=str(cache)),
        datasets=(
            ImageDataset(
                id="pictures",
                instance_data_dir=str(pictures),
                resolution=64,
                resolution_type="pixel",
                caption_strategy="textfile",
                instance_prompt="sks",
            ),
        ),
        sampling=Sampling(validation_disable=True),
        saving=Saving(output_dir=str(tmp_path / "run"), checkpoint_step_interval=0),
    )

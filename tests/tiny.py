"""A whole FLUX pipeline folder at toy size with random weights, and settings that train on it."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import FluxTransformer2DModel
from torch import nn

from tuner.practice import parts


def write_tiny_flux(folder: Path, guidance_embeds: bool = True) -> Path:
    """The practice model's architecture untrained, with nothing left at zero, so that every layer matters."""
    torch.manual_seed(5)
    transformer = parts.transformer()
    if not guidance_embeds:
        config = {**transformer.config, "guidance_embeds": False}
        transformer = FluxTransformer2DModel.from_config(config)
    for module in transformer.modules():
        if isinstance(module, nn.Linear) and not module.weight.any():
            nn.init.normal_(module.weight, std=0.02)
    vae = parts.vae()
    vae.register_to_config(scaling_factor=0.9, shift_factor=0.05)
    parts.save_pipeline(folder, vae, transformer, parts.text_encoders())
    return folder

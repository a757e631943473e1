"""The sampler of previews: Euler steps along the flow, from noise to latents."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tuner.flux.objective import Conditions, predict_velocity, shifted


def sampling_sigmas(num_steps: int, num_tokens: int, scheduler: Mapping[str, Any]) -> Tensor:
    """The N + 1 sigmas of a preview, 1 down to 0, as diffusers' FluxPipeline takes them from the scheduler's
    settings.

    With dynamic shifting mu is linear in the number of image tokens; without it the static `shift` counts.
    """
    sigmas = torch.linspace(1.0, 1 / num_steps, num_steps)
    if scheduler.get("use_dynamic_shifting"):
        low, high = scheduler.get("base_image_seq_len", 256), scheduler.get("max_image_seq_len", 4096)
        slope = (scheduler["max_shift"] - scheduler["base_shift"]) / (high - low)
        sigmas = shifted(sigmas, math.exp(scheduler["base_shift"] + slope * (num_tokens - low)))
    else:
        sigmas = shifted(sigmas, scheduler.get("shift", 1.0))
    return torch.cat([sigmas, torch.zeros(1)])


@torch.no_grad()
def denoise(
    transformer: torch.nn.Module,
    noise: Tensor,
    conditions: Conditions,
    sigmas: Tensor,
    guidance: float | None,
) -> Tensor:
    """(B, C, H, W) noise to latents; `guidance` is None where the flavour embeds none."""
    latents = noise
    embedded = None if guidance is None else torch.full((len(noise),), guidance, device=noise.device)
    for now, following in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        at = torch.full((len(latents),), now, device=latents.device)
        velocity = predict_velocity(transformer, latents, at, conditions, embedded)
        latents = (latents.float() + (following - now) * velocity.float()).to(noise.dtype)
    return latents


def initial_noise(channels: int, height: int, width: int, seed: int) -> Tensor:
    """(1, C, H, W) float32 noise of a seed, drawn on the CPU so that every machine starts from the same
    picture.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((1, channels, height, width), generator=generator)

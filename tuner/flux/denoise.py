"""The sampler of previews: Euler steps along the flow, from noise to latents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from tuner.flux.objective import Conditions, predict_velocity
from tuner.flux.sigmas import AutoShift, shifted

CPU = torch.device("cpu")


@dataclass(frozen=True)
class RealGuidance:
    """Classifier-free guidance for flavours without distilled guidance: v = u + scale * (c - u).

    `negative` are the conditions of u, for as many items as there are pictures; `first` is the step, counted
    from 0, with which it begins (an index, not a sigma): the steps before it take c alone.
    """

    scale: float
    negative: Conditions
    first: int = 0


def sampling_sigmas(num_steps: int, num_tokens: int, scheduler: Mapping[str, Any]) -> Tensor:
    """The N + 1 sigmas of a preview, 1 down to 0, as diffusers' FluxPipeline takes them from the scheduler's
    settings.

    With dynamic shifting mu is linear in the number of image tokens; without it the static `shift` counts.
    """
    sigmas = torch.linspace(1.0, 1 / num_steps, num_steps)
    if scheduler.get("use_dynamic_shifting"):
        sigmas = shifted(sigmas, AutoShift.of(scheduler).at(num_tokens))
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
    real: RealGuidance | None = None,
) -> Tensor:
    """(B, C, H, W) noise to latents; `guidance` is None where the flavour embeds none.

    With `real` guidance each step takes two passes, both with the same embedded guidance.
    """
    latents = noise
    embedded = None if guidance is None else torch.full((len(noise),), guidance, device=noise.device)
    for step, (now, following) in enumerate(pairwise(sigmas.tolist())):
        at = torch.full((len(latents),), now, device=latents.device)
        velocity = predict_velocity(transformer, latents, at, conditions, embedded).float()
        if real is not None and step >= real.first:
            other = predict_velocity(transformer, latents, at, real.negative, embedded).float()
            velocity = other + real.scale * (velocity - other)
        latents = (latents.float() + (following - now) * velocity).to(noise.dtype)
    return latents


def initial_noise(channels: int, height: int, width: int, seed: int, device: torch.device = CPU) -> Tensor:
    """(1, C, H, W) float32 noise of a seed. Drawn on the CPU every machine starts from the same picture."""
    generator = torch.Generator(device).manual_seed(seed)
    return torch.randn((1, channels, height, width), generator=generator, device=device)

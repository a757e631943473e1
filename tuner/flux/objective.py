"""The rectified-flow objective of FLUX: which sigma, which noise, which loss. Pure functions on tensors.

    x_sigma = (1 - sigma) * x0 + sigma * noise
    target  = noise - x0
    timestep given to the transformer = sigma

Source: "Scaling Rectified Flow Transformers" (Esser et al., 2024), and black-forest-labs/flux for the shift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tuner.flux import latents as lat


@dataclass(frozen=True)
class SigmaSchedule:
    """How sigmas are drawn; `kind` is sigmoid, uniform or beta. `shift` 0 means none; `auto_shift` follows
    the size.
    """

    kind: str = "sigmoid"
    scale: float = 1.0
    shift: float = 0.0
    auto_shift: bool = False
    alpha: float = 2.0
    beta: float = 2.0


@dataclass(frozen=True)
class Conditions:
    """What the transformer is told beside the noisy latents.

    `pooled` (B, P); `embeddings` (B, L, D); `text_mask` (B, L) bool, true at the prompt's real tokens, None
    where padding is not hidden; `references`: latents (B, C, h, w) of kontext's reference pictures, in order.
    """

    pooled: Tensor
    embeddings: Tensor
    text_mask: Tensor | None = None
    references: tuple[Tensor, ...] = ()


def draw_sigmas(count: int, schedule: SigmaSchedule, num_tokens: int, generator: torch.Generator) -> Tensor:
    """`count` independent sigmas in (0, 1), shape (count,), float32: each item of a batch has its own."""
    device = generator.device
    if schedule.kind == "uniform":
        sigmas = torch.rand(count, generator=generator, device=device)
    elif schedule.kind == "beta":
        shape = torch.tensor([schedule.alpha, schedule.beta], device=device).expand(count, 2)
        gammas = torch._standard_gamma(shape, generator=generator)
        sigmas = gammas[:, 0] / gammas.sum(1)
    else:
        sigmas = torch.sigmoid(schedule.scale * torch.randn(count, generator=generator, device=device))
    return shifted(sigmas, auto_shift(num_tokens) if schedule.auto_shift else schedule.shift)


def shifted(sigmas: Tensor, shift: float) -> Tensor:
    """s * sigma / (1 + (s - 1) * sigma): more noise for a shift above 1; 0 and 1 change nothing."""
    return sigmas if shift <= 0 else shift * sigmas / (1 + (shift - 1) * sigmas)


def auto_shift(num_tokens: int) -> float:
    """e^mu with mu linear in the number of image tokens: 0.5 at 256 (256 px), 1.15 at 4096 (1024 px)."""
    return math.exp(0.5 + (num_tokens - 256) * (1.15 - 0.5) / (4096 - 256))


def add_noise(latents: Tensor, noise: Tensor, sigmas: Tensor) -> Tensor:
    """x_sigma of (B, C, H, W) latents, one sigma an item."""
    sigmas = sigmas.to(latents.dtype).view(-1, 1, 1, 1)
    return (1 - sigmas) * latents + sigmas * noise


def predict_velocity(
    transformer: torch.nn.Module,
    noisy: Tensor,
    sigmas: Tensor,
    conditions: Conditions,
    guidance: Tensor | None,
) -> Tensor:
    """The transformer's velocity for (B, C, H, W) latents, same shape.

    `guidance` (B,) is None where the flavour embeds none.
    """
    _, _, height, width = noisy.shape
    tokens = transformer(
        hidden_states=lat.pack(noisy),
        timestep=sigmas.to(noisy.dtype),
        guidance=None if guidance is None else guidance.to(noisy.dtype),
        pooled_projections=conditions.pooled,
        encoder_hidden_states=conditions.embeddings,
        txt_ids=lat.text_ids(conditions.embeddings.shape[1], noisy.device),
        img_ids=lat.image_ids(height, width, noisy.device),
        return_dict=False,
    )[0]
    return lat.unpack(tokens, height, width)


def flow_matching_loss(velocity: Tensor, latents: Tensor, noise: Tensor) -> Tensor:
    """Mean squared error to noise - latents in float32: over C, H, W of each item, then over the batch."""
    difference = velocity.float() - (noise.float() - latents.float())
    return difference.square().mean((1, 2, 3)).mean()

"""The rectified-flow objective of FLUX: noise onto latents, and the transformer's word on it. Pure functions.

    x_sigma = (1 - sigma) * x0 + sigma * noise
    target  = noise - x0
    timestep given to the transformer = sigma

Source: "Scaling Rectified Flow Transformers" (Esser et al., 2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tuner.flux import latents as lat


@dataclass(frozen=True)
class Conditions:
    """What the transformer is told beside the noisy latents.

    `pooled` (B, P); `embeddings` (B, L, D); `text_mask` (B, L) bool, true at the prompt's real tokens, None
    where padding is not hidden; `references`: latents (B, C, h, w) of kontext's reference pictures, in order;
    `reference_mask` (B,) bool, false at items that go without them, None where all have them.
    """

    pooled: Tensor
    embeddings: Tensor
    text_mask: Tensor | None = None
    references: tuple[Tensor, ...] = ()
    reference_mask: Tensor | None = None


def add_noise(latents: Tensor, noise: Tensor, sigmas: Tensor) -> Tensor:
    """x_sigma of (B, C, H, W) latents, one sigma an item."""
    sigmas = sigmas.to(latents.dtype).view(-1, 1, 1, 1)
    return (1 - sigmas) * latents + sigmas * noise


def draw_guidance(count: int, span: tuple[float, float], dice: torch.Generator) -> Tensor:
    """The guidance of each item, (count,) float32, evenly out of `span`; equal ends draw nothing."""
    low, high = span
    if low == high:
        return torch.full((count,), low, device=dice.device)
    return low + (high - low) * torch.rand(count, generator=dice, device=dice.device)


def predict_velocity(
    transformer: torch.nn.Module,
    noisy: Tensor,
    sigmas: Tensor,
    conditions: Conditions,
    guidance: Tensor | None,
) -> Tensor:
    """The transformer's velocity for (B, C, H, W) latents, same shape.

    `guidance` (B,) is None where the flavour embeds none. References stand behind the noisy tokens, with one
    timestep for all, as in diffusers and ComfyUI.
    """
    height, width = noisy.shape[2:]
    tokens, ids = lat.pack(noisy), lat.image_ids(height, width, noisy.device)
    num_tokens, references = tokens.shape[1], conditions.references
    if references:
        tokens = torch.cat([tokens, *(lat.pack(one.to(noisy.dtype)) for one in references)], dim=1)
        ids = torch.cat([ids, *lat.reference_ids([one.shape[2:] for one in references], noisy.device)])
    mask = _attention_mask(conditions, num_tokens, tokens.shape[1])
    # Without a mask the argument is left out: attention kernels are quicker then.
    hidden: dict[str, Any] = {} if mask is None else {"joint_attention_kwargs": {"attention_mask": mask}}
    made = transformer(
        hidden_states=tokens,
        timestep=sigmas.to(noisy.dtype),
        guidance=None if guidance is None else guidance.to(noisy.dtype),
        pooled_projections=conditions.pooled,
        encoder_hidden_states=conditions.embeddings,
        txt_ids=lat.text_ids(conditions.embeddings.shape[1], noisy.device),
        img_ids=ids,
        return_dict=False,
        **hidden,
    )[0]
    return lat.unpack(made[:, :num_tokens], height, width)


def _attention_mask(conditions: Conditions, num_tokens: int, num_all: int) -> Tensor | None:
    """(B, 1, 1, L + all image tokens) bool, true at what may be looked at; None where that is everything."""
    if conditions.text_mask is None and conditions.reference_mask is None:
        return None
    batch, length = conditions.embeddings.shape[:2]
    mask = torch.ones(batch, length + num_all, dtype=torch.bool, device=conditions.embeddings.device)
    if conditions.text_mask is not None:
        mask[:, :length] = conditions.text_mask
    if conditions.reference_mask is not None:
        mask[:, length + num_tokens :] = conditions.reference_mask[:, None]
    return mask[:, None, None]

"""Pixels to latents and back, and the packed form in which FLUX sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

PATCH = 2


def pack(latents: Tensor) -> Tensor:
    """(B, C, H, W) latents as (B, H/2 * W/2, 4C) tokens; channel order (c, dy, dx), as FLUX was trained."""
    batch, channels, height, width = latents.shape
    blocks = latents.view(batch, channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return blocks.permute(0, 2, 4, 1, 3, 5).reshape(batch, (height // PATCH) * (width // PATCH), channels * 4)


def unpack(tokens: Tensor, height: int, width: int) -> Tensor:
    """The inverse of `pack`; `height` and `width` count latent rows and columns."""
    batch, _, channels = tokens.shape
    blocks = tokens.view(batch, height // PATCH, width // PATCH, channels // 4, PATCH, PATCH)
    return blocks.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels // 4, height, width)


def image_ids(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """Position rows (0, y, x) of the packed tokens, (H/2 * W/2, 3) float32."""
    ids = torch.zeros(height // PATCH, width // PATCH, 3, device=device)
    ids[..., 1] = torch.arange(height // PATCH, device=device)[:, None]
    ids[..., 2] = torch.arange(width // PATCH, device=device)[None, :]
    return ids.view(-1, 3)


def reference_ids(sizes: Sequence[tuple[int, int]], device: torch.device | str = "cpu") -> list[Tensor]:
    """Position rows (1, y, x) of each packed reference, from their (height, width) in latent cells.

    Several lie beside one another as in ComfyUI: below or to the right, so that the longer side grows least.
    """
    rows, below, right = [], 0, 0
    for height, width in sizes:
        y, x = (0, right) if height + below > width + right else (below, 0)
        below, right = max(below, y + height), max(right, x + width)
        # Rounded to whole tokens as ComfyUI does.
        shift = torch.tensor([1, (y + PATCH // 2) // PATCH, (x + PATCH // 2) // PATCH], device=device)
        rows.append(image_ids(height, width, device) + shift)
    return rows


def text_ids(length: int, device: torch.device | str = "cpu") -> Tensor:
    """Position rows of the prompt tokens: all zero, (L, 3) float32."""
    return torch.zeros(length, 3, device=device)


def normalize(latents: Tensor, vae_config: Any) -> Tensor:
    """VAE latents to the transformer's scale: (z - shift) * scale."""
    return (latents - vae_config.shift_factor) * vae_config.scaling_factor


def denormalize(latents: Tensor, vae_config: Any) -> Tensor:
    """The transformer's latents to the VAE's scale: z / scale + shift."""
    return latents / vae_config.scaling_factor + vae_config.shift_factor

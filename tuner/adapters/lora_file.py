"""LoRA files in the names of diffusers, from a checkpoint or an export, as a checkpoint names them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_KNOWN = (".lora_A.weight", ".lora_B.weight", ".alpha", ".lora_magnitude_vector")
_FIRST = (".lora_A_init.weight", ".lora_B_init.weight")


def named(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """With an alpha for each layer: a file without is meant to act at full strength, so alpha is the rank."""
    alphas = {
        f"{key.removesuffix('.lora_A.weight')}.alpha": torch.tensor(float(len(values)))
        for key, values in tensors.items()
        if key.endswith(".lora_A.weight")
    }
    return {**alphas, **tensors}


def to_start_from(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As `named`, for a new run: first values that were taken off become part of a LoRA of twice the rank."""
    found = {key: values for key, values in named(tensors).items() if not key.endswith(_FIRST)}
    for key in tensors:
        if key.endswith(_FIRST[0]):
            stem = key.removesuffix(_FIRST[0])
            down, up = f"{stem}.lora_A.weight", f"{stem}.lora_B.weight"
            found[down] = torch.cat([tensors[down], tensors[key]])
            found[up] = torch.cat([tensors[up], -tensors[stem + _FIRST[1]]], dim=1)
            found[f"{stem}.alpha"] = 2 * tensors[f"{stem}.alpha"]
    return found

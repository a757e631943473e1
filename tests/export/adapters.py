"""Adapter files as checkpoints hold them, on a FLUX transformer of toy size, and what they ought to do."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import FluxTransformer2DModel
from safetensors.torch import save_file
from torch import Tensor, nn


def tiny_transformer(num_blocks: int = 2) -> FluxTransformer2DModel:
    """So many double and as many single blocks, width 64, random."""
    torch.manual_seed(11)
    return FluxTransformer2DModel(
        in_channels=64,
        num_layers=num_blocks,
        num_single_layers=num_blocks,
        attention_head_dim=32,
        num_attention_heads=2,
        joint_attention_dim=48,
        pooled_projection_dim=40,
        guidance_embeds=True,
        axes_dims_rope=(8, 12, 12),
    ).eval()


def output(transformer: nn.Module) -> Tensor:
    """The transformer's answer to one fixed input of 4 text and 6 image tokens."""
    dice = torch.Generator().manual_seed(12)
    inputs = {
        "hidden_states": torch.randn(1, 6, 64, generator=dice),
        "encoder_hidden_states": torch.randn(1, 4, 48, generator=dice),
        "pooled_projections": torch.randn(1, 40, generator=dice),
        "timestep": torch.tensor([0.6]),
        "guidance": torch.tensor([3.5]),
        "img_ids": torch.cartesian_prod(torch.zeros(1), torch.arange(2.0), torch.arange(3.0)),
        "txt_ids": torch.zeros(4, 3),
    }
    with torch.no_grad():
        sample: Tensor = transformer(**inputs, return_dict=False)[0]
    return sample


def linear_names(transformer: nn.Module, endings: tuple[str, ...] = ("",)) -> list[str]:
    """The Linear layers whose path equals an ending or ends in "." and it; all of them by default."""
    found = [name for name, module in transformer.named_modules() if isinstance(module, nn.Linear)]
    return [name for name in found if any(f".{name}".endswith(f".{e}" if e else "") for e in endings)]


def adapter_tensors(
    transformer: nn.Module, modules: list[str], alphas: tuple[float, ...], ranks: tuple[int, ...] = (4,)
) -> dict[str, Tensor]:
    """A random LoRA; alphas and ranks take turns over the modules."""
    dice, tensors = torch.Generator().manual_seed(13), {}
    for number, name in enumerate(modules):
        weight, rank = transformer.get_submodule(name).weight, ranks[number % len(ranks)]
        tensors[f"transformer.{name}.lora_A.weight"] = torch.randn(rank, weight.shape[1], generator=dice) / 8
        tensors[f"transformer.{name}.lora_B.weight"] = torch.randn(weight.shape[0], rank, generator=dice) / 10
        tensors[f"transformer.{name}.alpha"] = torch.tensor(alphas[number % len(alphas)])
    return tensors


def write_adapter(path: Path, tensors: Mapping[str, Tensor]) -> Path:
    save_file(dict(tensors), path, metadata={"format": "pt"})
    return path


def effect(transformer: nn.Module, tensors: Mapping[str, Tensor]) -> Tensor:
    """What the adapter changes of the output, by the definition: alpha / r * B @ A added to each weight."""
    changed = copy.deepcopy(transformer)
    for key in tensors:
        if key.endswith(".alpha"):
            stem = key.removesuffix(".alpha")
            down, up = tensors[stem + ".lora_A.weight"], tensors[stem + ".lora_B.weight"]
            weight = changed.get_submodule(stem.removeprefix("transformer.")).weight
            weight.data += tensors[key] / down.shape[0] * (up @ down)
    return output(changed) - output(transformer)

"""A FLUX transformer of FLUX.1's own head width at toy size, and the files it comes in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers import FluxTransformer2DModel
from safetensors.torch import save_file
from torch import Tensor


def tiny(guidance: bool = True, width: int = 128) -> FluxTransformer2DModel:
    torch.manual_seed(11)
    model = FluxTransformer2DModel(
        num_layers=2,
        num_single_layers=3,
        attention_head_dim=128,
        num_attention_heads=width // 128,
        joint_attention_dim=48,
        pooled_projection_dim=40,
        guidance_embeds=guidance,
    )
    for parameter in model.parameters():
        parameter.data = torch.randn_like(parameter) * 0.02
    return model.eval()


def outputs(model: torch.nn.Module) -> Tensor:
    random = torch.Generator().manual_seed(3)
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        return model(
            hidden_states=torch.randn(1, 4, 64, generator=random).to(dtype),
            timestep=torch.tensor([0.5], dtype=dtype),
            guidance=torch.tensor([3.0], dtype=dtype) if model.config.guidance_embeds else None,
            pooled_projections=torch.randn(1, 40, generator=random).to(dtype),
            encoder_hidden_states=torch.randn(1, 6, 48, generator=random).to(dtype),
            txt_ids=torch.zeros(6, 3),
            img_ids=torch.zeros(4, 3),
            return_dict=False,
        )[0]


def as_bfl(model: FluxTransformer2DModel) -> dict[str, Tensor]:
    """The weights in the layout of black-forest-labs/flux, written down from that repository's model.py."""
    own = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    made: dict[str, Tensor] = {}
    for theirs, ours in _bfl_modules(model):
        for leaf in ("weight", "bias"):
            made[f"{theirs}.{leaf}"] = torch.cat([own[f"{name}.{leaf}"] for name in ours])
    for theirs, ours in _bfl_norms(model):
        made[f"{theirs}.scale"] = own[f"{ours}.weight"]
    for leaf in ("weight", "bias"):
        scale, shift = own[f"norm_out.linear.{leaf}"].chunk(2)
        made[f"final_layer.adaLN_modulation.1.{leaf}"] = torch.cat([shift, scale])
    return made


def _bfl_modules(model: FluxTransformer2DModel) -> Iterator[tuple[str, list[str]]]:
    yield "img_in", ["x_embedder"]
    yield "txt_in", ["context_embedder"]
    yield "final_layer.linear", ["proj_out"]
    embedders = {"time_in": "timestep", "vector_in": "text"}
    embedders |= {"guidance_in": "guidance"} if model.config.guidance_embeds else {}
    for theirs, name in embedders.items():
        yield f"{theirs}.in_layer", [f"time_text_embed.{name}_embedder.linear_1"]
        yield f"{theirs}.out_layer", [f"time_text_embed.{name}_embedder.linear_2"]
    for number in range(model.config.num_layers):
        ours, theirs = f"transformer_blocks.{number}", f"double_blocks.{number}"
        for stream, suffix, qkv, out in (
            ("img", "", ("to_q", "to_k", "to_v"), "to_out.0"),
            ("txt", "_context", ("add_q_proj", "add_k_proj", "add_v_proj"), "to_add_out"),
        ):
            yield f"{theirs}.{stream}_mod.lin", [f"{ours}.norm1{suffix}.linear"]
            yield f"{theirs}.{stream}_attn.qkv", [f"{ours}.attn.{name}" for name in qkv]
            yield f"{theirs}.{stream}_attn.proj", [f"{ours}.attn.{out}"]
            yield f"{theirs}.{stream}_mlp.0", [f"{ours}.ff{suffix}.net.0.proj"]
            yield f"{theirs}.{stream}_mlp.2", [f"{ours}.ff{suffix}.net.2"]
    for number in range(model.config.num_single_layers):
        ours, theirs = f"single_transformer_blocks.{number}", f"single_blocks.{number}"
        yield f"{theirs}.modulation.lin", [f"{ours}.norm.linear"]
        yield f"{theirs}.linear1", [*(f"{ours}.attn.to_{one}" for one in "qkv"), f"{ours}.proj_mlp"]
        yield f"{theirs}.linear2", [f"{ours}.proj_out"]


def _bfl_norms(model: FluxTransformer2DModel) -> Iterator[tuple[str, str]]:
    for name, letter in (("query_norm", "q"), ("key_norm", "k")):
        for number in range(model.config.num_layers):
            ours, theirs = f"transformer_blocks.{number}.attn", f"double_blocks.{number}"
            yield f"{theirs}.img_attn.norm.{name}", f"{ours}.norm_{letter}"
            yield f"{theirs}.txt_attn.norm.{name}", f"{ours}.norm_added_{letter}"
        for number in range(model.config.num_single_layers):
            ours = f"single_transformer_blocks.{number}.attn"
            yield f"single_blocks.{number}.norm.{name}", f"{ours}.norm_{letter}"


def as_scaled_fp8(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As ComfyUI's scaled fp8 files: every matrix in e4m3fn with one factor, the rest as it was."""
    made: dict[str, Tensor] = {"scaled_fp8": torch.empty(2, dtype=torch.float8_e4m3fn)}
    for name, tensor in tensors.items():
        if tensor.dim() == 2:
            scale = tensor.abs().max() / 448
            made[name] = (tensor / scale).to(torch.float8_e4m3fn)
            made[name.removesuffix("weight") + "scale_weight"] = scale
        else:
            made[name] = tensor
    return made


def write_folder(
    model: FluxTransformer2DModel, folder: Path, num_shards: int, variant: str | None = None
) -> Path:
    """As diffusers saves it, whole or in shards, into `folder`/transformer."""
    place = folder / "transformer"
    if num_shards == 1:
        model.save_pretrained(place, variant=variant)
    else:
        size = sum(one.numel() * one.element_size() for one in model.parameters())
        model.save_pretrained(place, max_shard_size=size // num_shards + 1, variant=variant)
    return folder


def write_file(path: Path, tensors: dict[str, Tensor], prefix: str = "", **others: Tensor) -> Path:
    save_file({**{prefix + name: tensor.contiguous() for name, tensor in tensors.items()}, **others}, path)
    return path

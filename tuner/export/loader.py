"""What ComfyUI makes of a file: its names of FLUX.1's layers and its formulas, as comfy/lora.py has them.

Written apart from the exporter and without its names and conversions, so that the one can judge the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class Slot:
    """Where a key leads: a parameter of ComfyUI's transformer, or `length` of its rows from `start` on, in
    hidden sizes. `turned`: ComfyUI swaps the halves of what is added there.
    """

    parameter: str
    start: int = 0
    length: int = 0
    turned: bool = False


@dataclass(frozen=True)
class Patch:
    """The tensors of a file that change one slot, by suffix."""

    slot: Slot
    tensors: Mapping[str, Tensor]


_DOUBLE = """
attn.to_q img_attn.qkv 0 1 | attn.to_k img_attn.qkv 1 1 | attn.to_v img_attn.qkv 2 1
attn.add_q_proj txt_attn.qkv 0 1 | attn.add_k_proj txt_attn.qkv 1 1 | attn.add_v_proj txt_attn.qkv 2 1
attn.to_out.0 img_attn.proj | attn.to_add_out txt_attn.proj
norm1.linear img_mod.lin | norm1_context.linear txt_mod.lin
ff.net.0.proj img_mlp.0 | ff.net.2 img_mlp.2 | ff_context.net.0.proj txt_mlp.0 | ff_context.net.2 txt_mlp.2
"""
_SINGLE = """
attn.to_q linear1 0 1 | attn.to_k linear1 1 1 | attn.to_v linear1 2 1 | proj_mlp linear1 3 4
norm.linear modulation.lin | proj_out linear2
"""
_BASIC = """
x_embedder img_in | context_embedder txt_in | proj_out final_layer.linear
time_text_embed.timestep_embedder.linear_1 time_in.in_layer
time_text_embed.timestep_embedder.linear_2 time_in.out_layer
time_text_embed.text_embedder.linear_1 vector_in.in_layer
time_text_embed.text_embedder.linear_2 vector_in.out_layer
time_text_embed.guidance_embedder.linear_1 guidance_in.in_layer
time_text_embed.guidance_embedder.linear_2 guidance_in.out_layer
"""

_COMFYUI = """
lora_A.weight lora_B.weight ? alpha dora_scale
lora_down.weight lora_up.weight ? alpha dora_scale
hada_w1_a hada_w1_b hada_w2_a hada_w2_b ? alpha dora_scale
lokr_w1 lokr_w2 ? alpha dora_scale
lokr_w1 lokr_w2_a lokr_w2_b ? alpha dora_scale
lokr_w1_a lokr_w1_b lokr_w2 ? alpha dora_scale
lokr_w1_a lokr_w1_b lokr_w2_a lokr_w2_b ? alpha dora_scale
a1.weight a2.weight b1.weight b2.weight ? alpha
oft_blocks alpha ? rescale
diff ?
"""
_DIFFUSERS = "lora_A.weight lora_B.weight ? alpha lora_magnitude_vector"
_FAMILIES = {"comfyui": _COMFYUI, "kohya": _COMFYUI, "diffusers": _DIFFUSERS}
"""What stands together, and behind the ? what may stand there besides, by who reads the dialect."""

_PREFIXES = {
    "comfyui": ("transformer.", "lycoris_", "lora_transformer_", "diffusion_model.", "lora_unet_"),
    "kohya": ("lora_unet_",),
    "diffusers": ("transformer.",),
}


def patches(tensors: Mapping[str, Tensor], dialect: str) -> tuple[list[Patch], list[str]]:
    """The changes that a file makes, and the keys that its reader would leave out."""
    parts: dict[str, dict[str, Tensor]] = {}
    suffixes = sorted(set(_FAMILIES[dialect].replace("?", "").split()), key=len, reverse=True)
    strange = []
    for key, tensor in tensors.items():
        suffix = next((one for one in suffixes if key.endswith(f".{one}")), None)
        stem = key.removesuffix(f".{suffix}")
        if suffix and stem in _stems() and stem.startswith(_PREFIXES[dialect]):
            parts.setdefault(stem, {})[suffix] = tensor
        else:
            strange.append(key)
    found = []
    for stem, part in parts.items():
        if _complete(part, dialect):
            found.append(Patch(_stems()[stem], part))
        else:
            strange += [f"{stem}.{suffix}" for suffix in part]
    return found, strange


def _complete(part: Mapping[str, Tensor], dialect: str) -> bool:
    for family in _FAMILIES[dialect].strip().splitlines():
        needed, allowed = (set(half.split()) for half in family.split("?"))
        if needed <= part.keys() <= needed | allowed:
            return True
    return False


@cache
def slots() -> dict[str, Slot]:
    """The slot of each Linear layer, by diffusers' path."""
    found = {"norm_out.linear": Slot("final_layer.adaLN_modulation.1", turned=True)} | _table(_BASIC, "", "")
    for number in range(19):
        found |= _table(_DOUBLE, f"transformer_blocks.{number}.", f"double_blocks.{number}.")
    for number in range(38):
        found |= _table(_SINGLE, f"single_transformer_blocks.{number}.", f"single_blocks.{number}.")
    return found


def num_parts(parameter: str) -> int:
    """How many hidden sizes of rows a fused matrix has; 1 for one that is not fused."""
    return 7 if ".linear1" in parameter else 3 if ".qkv" in parameter else 1


def _table(text: str, before: str, native: str) -> dict[str, Slot]:
    lines = [row.split() for line in text.strip().splitlines() for row in line.split("|")]
    rows = [(*line, "0", "0")[:4] for line in lines]
    return {
        before + module: Slot(native + name, int(start), int(length)) for module, name, start, length in rows
    }


@cache
def _stems() -> dict[str, Slot]:
    """Everything that ComfyUI takes before the suffix, in all its spellings."""
    found: dict[str, Slot] = {}
    for module, slot in slots().items():
        flat = module.replace(".", "_")
        found |= {f"transformer.{module}": slot, f"lycoris_{flat}": slot, f"lora_transformer_{flat}": slot}
        whole = Slot(slot.parameter)
        found |= {f"diffusion_model.{slot.parameter}": whole}
        found |= {f"lora_unet_{slot.parameter.replace('.', '_')}": whole}
        found |= {f"diffusion_model.{slot.parameter}.bias": Slot(f"{slot.parameter}.bias")}
    return found


def patched(patch: Patch, weight: Tensor) -> Tensor:
    """The slot's `weight` (out, in), or bias (out,), at strength 1; RuntimeError where shapes do not fit."""
    part = {suffix: tensor.to(weight) for suffix, tensor in patch.tensors.items()}
    if "oft_blocks" in part:
        return weight + _swap(_turned(part, weight) - weight, patch.slot.turned)
    delta = _swap(_delta(part, weight), patch.slot.turned)
    if "lora_magnitude_vector" in part:
        norms = _swap(part["lora_magnitude_vector"][:, None], patch.slot.turned)  # diffusers swaps nothing
        return (weight + delta) * (norms / (weight + delta).norm(dim=1, keepdim=True))
    if "dora_scale" not in part:
        return weight + delta
    scale = part["dora_scale"]
    by_rows = scale.shape[0] == weight.shape[0]
    norm = weight.norm(dim=1, keepdim=True) if by_rows else (weight + delta).norm(dim=0, keepdim=True)
    return (weight + delta) * (scale / (norm + torch.finfo(torch.float32).eps))


def _swap(rows: Tensor, turned: bool) -> Tensor:
    return torch.cat(rows.chunk(2)[::-1]) if turned else rows


def _delta(part: Mapping[str, Tensor], weight: Tensor) -> Tensor:
    """What is added before any DoRA."""
    if "diff" in part:
        return part["diff"].expand(weight.shape)
    if "lora_up.weight" in part or "lora_B.weight" in part:
        up, down = (
            part[f"lora_{old}.weight"] if f"lora_{old}.weight" in part else part[f"lora_{new}.weight"]
            for old, new in (("up", "B"), ("down", "A"))
        )
        return up @ down * _scale(part, len(down))
    if "hada_w1_a" in part:
        product = (part["hada_w1_a"] @ part["hada_w1_b"]) * (part["hada_w2_a"] @ part["hada_w2_b"])
        return product * _scale(part, len(part["hada_w1_b"]))
    if "a1.weight" in part:
        product = weight @ part["a1.weight"] @ part["a2.weight"] + part["b1.weight"] @ part["b2.weight"]
        return product * _scale(part, len(part["a2.weight"]))
    rank, halves = None, []
    for half in ("lokr_w1", "lokr_w2"):
        if half in part:
            halves.append(part[half])
        else:
            halves.append(part[f"{half}_a"] @ part[f"{half}_b"])
            rank = len(part[f"{half}_b"])
    return torch.kron(*halves) * (1.0 if rank is None else _scale(part, rank))


def _scale(part: Mapping[str, Tensor], rank: int) -> float:
    return part["alpha"].item() / rank if "alpha" in part else 1.0


def _turned(part: Mapping[str, Tensor], weight: Tensor) -> Tensor:
    """OFT: R^T of each block of rows, its `rescale` is ignored. BOFT: R, stage by stage, then rescaled."""
    skew = part["oft_blocks"] - part["oft_blocks"].transpose(-1, -2)
    norm, limit = skew.norm() + 1e-8, part["alpha"].item()
    skew = skew * (limit / norm) if 0 < limit < norm else skew
    one = torch.eye(skew.shape[-1], dtype=skew.dtype)
    turns = (one + skew) @ (one - skew).inverse()
    if turns.dim() == 3:
        return torch.einsum("k n m, k n i -> k m i", turns, weight.view(*turns.shape[:2], -1)).flatten(0, 1)
    rows, (stages, _, size, _) = weight, turns.shape
    for stage in range(stages):
        reach = 2**stage * (size // 2)
        rows = rows.unflatten(0, (-1, 2, reach)).transpose(1, 2).flatten(0, 2).unflatten(0, (-1, size))
        rows = torch.einsum("b i j, b j k -> b i k", turns[stage], rows)
        rows = rows.flatten(0, 1).unflatten(0, (-1, reach, 2)).transpose(1, 2).flatten(0, 2)
    return rows * part["rescale"] if "rescale" in part else rows

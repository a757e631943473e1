"""The Linear layers of FLUX.1 by diffusers' names and by BFL's, and the keys that files hold them under.

ComfyUI never refuses a file: an unknown key is a line in its console, and the module stays untrained.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Native:
    """BFL's module. `rows` is the part of a fused matrix, counted in hidden sizes; None is the whole matrix.

    `halves_swapped`: the upper and lower half of the rows stand the other way round.
    """

    name: str
    rows: tuple[int, int] | None = None
    halves_swapped: bool = False

    @property
    def num_rows(self) -> int:
        """Of the whole fused matrix, in hidden sizes."""
        return 7 if self.name.endswith("linear1") else 3


def _fused(name: str, *parts: str) -> dict[str, Native]:
    """The parts share one matrix, one hidden size of rows each; what is longer (proj_mlp, 4) stands last."""
    rows = {part: (start, start + (4 if part == "proj_mlp" else 1)) for start, part in enumerate(parts)}
    return {part: Native(name, place) for part, place in rows.items()}


DOUBLE_BLOCK: dict[str, Native] = {
    **_fused("img_attn.qkv", "attn.to_q", "attn.to_k", "attn.to_v"),
    **_fused("txt_attn.qkv", "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "attn.to_out.0": Native("img_attn.proj"),
    "attn.to_add_out": Native("txt_attn.proj"),
    "ff.net.0.proj": Native("img_mlp.0"),
    "ff.net.2": Native("img_mlp.2"),
    "ff_context.net.0.proj": Native("txt_mlp.0"),
    "ff_context.net.2": Native("txt_mlp.2"),
    "norm1.linear": Native("img_mod.lin"),
    "norm1_context.linear": Native("txt_mod.lin"),
}
SINGLE_BLOCK: dict[str, Native] = {
    **_fused("linear1", "attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
    "proj_out": Native("linear2"),
    "norm.linear": Native("modulation.lin"),
}
REST: dict[str, Native] = {
    "x_embedder": Native("img_in"),
    "context_embedder": Native("txt_in"),
    "time_text_embed.timestep_embedder.linear_1": Native("time_in.in_layer"),
    "time_text_embed.timestep_embedder.linear_2": Native("time_in.out_layer"),
    "time_text_embed.text_embedder.linear_1": Native("vector_in.in_layer"),
    "time_text_embed.text_embedder.linear_2": Native("vector_in.out_layer"),
    "time_text_embed.guidance_embedder.linear_1": Native("guidance_in.in_layer"),
    "time_text_embed.guidance_embedder.linear_2": Native("guidance_in.out_layer"),
    "norm_out.linear": Native("final_layer.adaLN_modulation.1", halves_swapped=True),
    "proj_out": Native("final_layer.linear"),
}

_BLOCKS = {
    "transformer_blocks": ("double_blocks", 19, DOUBLE_BLOCK),
    "single_transformer_blocks": ("single_blocks", 38, SINGLE_BLOCK),
}
_IN_BLOCK = re.compile(r"(transformer_blocks|single_transformer_blocks)\.(0|[1-9]\d*)\.(.+)")


def native(module: str) -> Native | None:
    """BFL's module for a Linear of diffusers' `FluxTransformer2DModel`; None if FLUX.1 has no such module."""
    match = _IN_BLOCK.fullmatch(module)
    if match is None:
        return REST.get(module)
    blocks, count, modules = _BLOCKS[match[1]]
    found = modules.get(match[3])
    if found is None or int(match[2]) >= count:
        return None
    return Native(f"{blocks}.{match[2]}.{found.name}", found.rows)


def native_of(module: str) -> Native:
    """As `native`, of a module that is known to exist."""
    found = native(module)
    assert found is not None
    return found


def in_native_order(module: str, rows: Tensor) -> Tensor:
    """`rows` (out, ...) of a layer of diffusers in the order that they have in BFL's."""
    return rows.roll(len(rows) // 2, 0) if native_of(module).halves_swapped else rows


def stem(module: str) -> str:
    """Where a file for ComfyUI, forge and diffusers holds a module's tensors."""
    return f"transformer.{module}"


def lycoris_stem(module: str) -> str:
    """As LyCORIS itself names the module: read by ComfyUI, forge and lycoris_lora."""
    return "lycoris_" + module.replace(".", "_")


def native_stem(module: str) -> str:
    """By BFL's name: ComfyUI moves no rows there, so whoever writes it puts them in BFL's order."""
    return f"diffusion_model.{native_of(module).name}"


def kohya_stem(module: str) -> str:
    """As kohya's scripts name BFL's module; parts of a fused matrix share it."""
    return "lora_unet_" + native_of(module).name.replace(".", "_")


def module_of_lycoris(name: str) -> str | None:
    """`lycoris_transformer_blocks_0_attn_to_q` -> `transformer_blocks.0.attn.to_q`; None if there is none."""
    return _underscored().get(name.removeprefix("lycoris_")) if name.startswith("lycoris_") else None


@cache
def modules() -> tuple[str, ...]:
    """Every Linear of FLUX.1 by diffusers' name."""
    in_blocks = (
        f"{block}.{number}.{module}"
        for block, (_, count, parts) in _BLOCKS.items()
        for number in range(count)
        for module in parts
    )
    return (*in_blocks, *REST)


@cache
def _underscored() -> dict[str, str]:
    return {module.replace(".", "_"): module for module in modules()}

"""OFT and BOFT as ComfyUI reads them: without the constraint, and a rescaled OFT as one stage of BOFT."""

from __future__ import annotations

import torch
from torch import Tensor

from tuner.errors import Advice, TunerError
from tuner.export import names
from tuner.export.source import Tensors


def for_comfyui(module: str, tensors: Tensors) -> dict[str, Tensor]:
    """`oft_blocks` (n, b, b) of OFT, or (stages, n, b, b) of BOFT, where n * b = out; `rescale` (out, 1)."""
    blocks, rescale = _within_constraint(tensors["oft_blocks"], tensors["alpha"]), tensors.get("rescale")
    if rescale is not None and blocks.dim() == 3:
        blocks = _one_stage(module, blocks)
    stem = names.lycoris_stem(module)
    if names.native_of(module).halves_swapped:
        stem, blocks = names.native_stem(module), _halves_swapped(blocks)
    written = {f"{stem}.oft_blocks": blocks, f"{stem}.alpha": torch.tensor(0.0)}
    if rescale is not None:
        written[f"{stem}.rescale"] = names.in_native_order(module, rescale)
    return written


def turned(tensors: Tensors, rows: Tensor) -> Tensor:
    """What training makes of a layer's outputs or bias (out,)."""
    blocks, rescale = _within_constraint(tensors["oft_blocks"], tensors["alpha"]), tensors.get("rescale")
    skew = blocks - blocks.transpose(-1, -2)
    one = torch.eye(skew.shape[-1])
    turns = torch.linalg.solve(one - skew, one + skew)
    if blocks.dim() == 3:
        result = torch.einsum("nij,ni->nj", turns, rows.view(turns.shape[:2])).flatten()
    else:
        result = rows
        for stage, turn in enumerate(turns):
            reach = 2**stage * (turn.shape[-1] // 2)
            paired = result.view(-1, 2, reach).transpose(1, 2).reshape(turn.shape[:2])
            result = (turn @ paired[..., None]).view(-1, reach, 2).transpose(1, 2).flatten()
    return result if rescale is None else result * rescale.flatten()


def _within_constraint(blocks: Tensor, constraint: Tensor) -> Tensor:
    """LyCORIS keeps the norm of all B - B^T below constraint * out; ComfyUI reads `alpha` without the out."""
    norm = (blocks - blocks.transpose(-1, -2)).norm()
    limit = constraint * blocks.shape[-3] * blocks.shape[-1]
    return blocks * (limit / norm) if 0 < limit < norm else blocks


def _one_stage(module: str, blocks: Tensor) -> Tensor:
    """OFT turns by R^T, BOFT by R, so the sign changes; and BOFT takes rows of both halves in turn."""
    size = blocks.shape[-1]
    if size % 2:
        raise TunerError(
            f"ComfyUI cannot read a rescaled OFT with blocks of {size} rows, which '{module}' has.",
            Advice("Train with an even 'linear_dim', or without 'rescaled'."),
        )
    order = torch.arange(size).view(2, -1).T.flatten()
    return -blocks[:, order][:, :, order][None]


def _halves_swapped(blocks: Tensor) -> Tensor:
    """The same turn of rows whose halves stand the other way round.

    A block has its rows in one half, so blocks change places; but BOFT's last stage pairs rows of both
    halves, and there each pair changes places inside its block.
    """
    moved = torch.cat(blocks.chunk(2, dim=-3)[::-1], dim=-3)
    if blocks.dim() == 4 and blocks.shape[1] == 2 ** (blocks.shape[0] - 1):
        other = torch.arange(blocks.shape[-1]).view(-1, 2).flip(1).flatten()
        moved[-1] = blocks[-1][:, other][:, :, other]
    return moved

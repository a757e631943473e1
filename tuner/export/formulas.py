"""What each algorithm does to a layer, by its definition in training: the measure for what a file does.

Written apart from the exporter and its conversions, so that the one can judge the other.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_Part = Mapping[str, Tensor]


def shape(part: _Part) -> tuple[int, int]:
    """(out, in) of the layer that these tensors were trained for; a side that they do not tell is 0."""
    for left, right in (
        ("lora_B.weight", "lora_A.weight"),
        ("lora_up.weight", "lora_down.weight"),
        ("hada_w1_a", "hada_w1_b"),
        ("b1.weight", "b2.weight"),
        ("diff", "diff"),
    ):
        if left in part:
            return part[left].shape[0], part[right].shape[1]
    if "oft_blocks" in part:
        return part["oft_blocks"].shape[-1] * part["oft_blocks"].shape[-3], 0
    if "on_input" in part:
        return (0, len(part["weight"])) if part["on_input"] else (len(part["weight"]), 0)
    (rows, columns), (more_rows, more_columns) = (_factor(part, half).shape for half in ("w1", "w2"))
    return rows * more_rows, columns * more_columns


def depends(part: _Part) -> bool:
    """Whether the effect depends on the weight that it is added to."""
    return not {"oft_blocks", "on_input", "a1.weight", "dora_scale", "lora_magnitude_vector"}.isdisjoint(part)


def trained_weight(part: _Part, weight: Tensor) -> Tensor:
    """The layer's weight (out, in) as training made it from `weight`, in the precision of `weight`."""
    part = {suffix: tensor.to(weight) for suffix, tensor in part.items()}
    if "oft_blocks" in part:
        return _rotated(part, weight)
    if "on_input" in part:
        factor = 1 + part["weight"]
        return weight * factor[None, :] if part["on_input"] else weight * factor[:, None]
    changed = weight + _added(part, weight)
    if "lora_magnitude_vector" in part:
        return part["lora_magnitude_vector"].unsqueeze(1) * torch.nn.functional.normalize(changed, dim=1)
    if "dora_scale" in part:
        along = 1 if part["dora_scale"].shape[1] == 1 else 0
        return part["dora_scale"] * torch.nn.functional.normalize(changed, dim=along)
    return changed


def trained_bias(part: _Part, bias: Tensor, bypassed: bool) -> Tensor:
    """The layer's bias (out,) as training made it; `bypassed`: the layer's output was turned or scaled."""
    part = {suffix: tensor.to(bias) for suffix, tensor in part.items()}
    if "diff_b" in part:
        return bias + part["diff_b"]
    if bypassed and ("oft_blocks" in part or ("on_input" in part and not part["on_input"])):
        return trained_weight(part, bias[:, None])[:, 0]
    return bias


def _added(part: _Part, weight: Tensor) -> Tensor:
    if "diff" in part:
        return part["diff"]
    if "lora_A.weight" in part:
        rank = part["lora_A.weight"].shape[0]
        product = part["lora_B.weight"] @ part["lora_A.weight"]
        if "lora_A_init.weight" in part:
            product = product - part["lora_B_init.weight"] @ part["lora_A_init.weight"]
        return part["alpha"] / rank * product
    if "lora_up.weight" in part:
        rank = part["lora_down.weight"].shape[0]
        return part["alpha"] / rank * (part["lora_up.weight"] @ part["lora_down.weight"])
    if "hada_w1_a" in part:
        rank = part["hada_w1_a"].shape[1]
        first = torch.einsum("or,ri->oi", part["hada_w1_a"], part["hada_w1_b"])
        return part["alpha"] / rank * first * torch.einsum("or,ri->oi", part["hada_w2_a"], part["hada_w2_b"])
    if "a1.weight" in part:
        rank = part["a1.weight"].shape[1]
        through = weight @ (part["a1.weight"] @ part["a2.weight"])
        return part["alpha"] / rank * (through + part["b1.weight"] @ part["b2.weight"])
    first, second = _factor(part, "w1"), _factor(part, "w2")
    product = torch.einsum("ac,bd->abcd", first, second)
    return _lokr_scale(part) * product.reshape(len(first) * len(second), -1)


def _factor(part: _Part, half: str) -> Tensor:
    whole = part.get(f"lokr_{half}")
    return part[f"lokr_{half}_a"] @ part[f"lokr_{half}_b"] if whole is None else whole


def _lokr_scale(part: _Part) -> float | Tensor:
    """alpha / rank, but 1 where both factors are whole matrices: then there is no rank."""
    ranks = {part[name].shape[1] for name in ("lokr_w1_a", "lokr_w2_a") if name in part}
    return part["alpha"] / ranks.pop() if ranks else 1.0


def _rotated(part: _Part, weight: Tensor) -> Tensor:
    """Blocks of rows turned by Cayley's R of B - B^T, whose norm over all blocks is at most alpha * out."""
    blocks = part["oft_blocks"]
    skew = blocks - blocks.mT
    most, norm = part["alpha"] * len(weight), torch.linalg.vector_norm(skew)
    if most > 0 and norm > most:
        skew = skew * most / norm
    one = torch.eye(skew.shape[-1], dtype=skew.dtype)
    turn = torch.linalg.solve(one - skew, one + skew, left=False)
    if blocks.dim() == 3:
        turned = turn.mT @ weight.reshape(*blocks.shape[:2], -1)
    else:
        turned = weight
        for stage in range(len(blocks)):
            turned = _stage(turn[stage], turned, 2**stage)
    return turned.reshape(weight.shape) * part.get("rescale", torch.ones(1, 1, dtype=weight.dtype))


def _stage(turn: Tensor, rows: Tensor, reach: int) -> Tensor:
    """One stage of a butterfly: rows that stand `reach` half blocks apart are turned together."""
    size = turn.shape[-1]
    number = torch.arange(len(rows)).reshape(-1, 2, reach * size // 2).transpose(1, 2).reshape(-1)
    result = torch.empty_like(rows)
    result[number] = (turn @ rows[number].reshape(len(turn), size, -1)).reshape(rows.shape)
    return result

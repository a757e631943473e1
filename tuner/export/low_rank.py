"""LoRA in all its shapes: as PEFT and LyCORIS train it, and as ComfyUI, diffusers and kohya read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tuner.export import names
from tuner.export.dora import dora_scale
from tuner.export.source import Base, Tensors


@dataclass(frozen=True)
class LowRank:
    """A weight's change: alpha / r * up (out, r) @ down (r, in).

    `magnitude` is DoRA's: the norms that the rows (out, 1) or columns (1, in) have after the change.
    """

    down: Tensor
    up: Tensor
    alpha: Tensor
    magnitude: Tensor | None = None

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    @property
    def delta(self) -> Tensor:
        return self.up @ self.down * (self.alpha / self.rank)


def trained(tensors: Tensors) -> LowRank | None:
    """One module of a checkpoint; None if it is no LoRA."""
    if "lora_A.weight" in tensors:
        return _peft(tensors)
    if "lora_down.weight" in tensors:
        down, up = tensors["lora_down.weight"], tensors["lora_up.weight"]
        return LowRank(down, up, tensors["alpha"], tensors.get("dora_scale"))
    return None


def _peft(tensors: Tensors) -> LowRank:
    """PiSSA and OLoRA took their first matrices out of the base: the difference has twice the rank."""
    down, up, alpha = tensors["lora_A.weight"], tensors["lora_B.weight"], tensors["alpha"]
    if "lora_A_init.weight" in tensors:
        down = torch.cat([down, tensors["lora_A_init.weight"]])
        up = torch.cat([up, -tensors["lora_B_init.weight"]], dim=1)
        alpha = 2 * alpha
    norms = tensors.get("lora_magnitude_vector")
    return LowRank(down, up, alpha, None if norms is None else norms.view(-1, 1))


def for_comfyui(modules: Mapping[str, LowRank], base: Base) -> dict[str, Tensor]:
    """Read by ComfyUI and forge, and, where it is no DoRA, by diffusers too."""
    tensors: dict[str, Tensor] = {}
    for module, one in _for_diffusers_patterns(modules).items():
        stem = names.stem(module)
        tensors[f"{stem}.lora_A.weight"], tensors[f"{stem}.lora_B.weight"] = one.down, one.up
        tensors[f"{stem}.alpha"] = one.alpha
        if one.magnitude is not None:
            tensors[f"{stem}.dora_scale"] = dora_scale(module, one.delta, one.magnitude, base)
    return tensors


def _for_diffusers_patterns(modules: Mapping[str, LowRank]) -> Mapping[str, LowRank]:
    """diffusers finds a module's alpha by the ending of its name, and the last layer's, `proj_out`, is the
    ending of others: where alphas differ and it is among them, all get the most frequent one.
    """
    alphas = Counter(one.alpha.item() for one in modules.values())
    if "proj_out" not in modules or len(alphas) == 1:
        return modules
    common = alphas.most_common(1)[0][0]
    return {
        module: replace(one, up=one.up * (one.alpha / common), alpha=torch.tensor(common))
        for module, one in modules.items()
    }


def for_diffusers(modules: Mapping[str, LowRank]) -> dict[str, Tensor]:
    """Without alpha, which is worked into the weights; DoRA as PEFT keeps it."""
    tensors: dict[str, Tensor] = {}
    for module, one in modules.items():
        stem = names.stem(module)
        tensors[f"{stem}.lora_A.weight"] = one.down
        tensors[f"{stem}.lora_B.weight"] = one.up * (one.alpha / one.rank)
        if one.magnitude is not None:
            tensors[f"{stem}.lora_magnitude_vector"] = one.magnitude.flatten()
    return tensors


def for_kohya(modules: Mapping[str, LowRank]) -> dict[str, Tensor]:
    """By BFL's names; the parts of a fused matrix become one LoRA with as much rank as they have together."""
    groups: dict[str, dict[str, LowRank]] = {}
    for module, one in modules.items():
        groups.setdefault(names.kohya_stem(module), {})[module] = one
    tensors: dict[str, Tensor] = {}
    for stem, parts in groups.items():
        one = _fused(parts)
        tensors[f"{stem}.lora_down.weight"], tensors[f"{stem}.lora_up.weight"] = one.down, one.up
        tensors[f"{stem}.alpha"] = one.alpha
    return tensors


def _fused(parts: Mapping[str, LowRank]) -> LowRank:
    """Downs below each other, ups along a diagonal; a part that was not trained has rows of zeros."""
    (module, one), *more = parts.items()
    place = names.native_of(module)
    if place.rows is None:
        return replace(one, up=names.in_native_order(module, one.up))
    assert all(names.native_of(other).name == place.name for other, _ in more)
    hidden = one.up.shape[0] // (place.rows[1] - place.rows[0])
    rank = sum(part.rank for part in parts.values())
    up, column = torch.zeros(place.num_rows * hidden, rank), 0
    for module, part in parts.items():
        rows = names.native_of(module).rows
        assert rows is not None
        up[rows[0] * hidden : rows[1] * hidden, column : column + part.rank] = part.up * (
            part.alpha / part.rank
        )
        column += part.rank
    return LowRank(torch.cat([part.down for part in parts.values()]), up, torch.tensor(float(rank)))

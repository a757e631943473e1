"""A trained adapter as the tensors of a file, in each dialect; what a dialect cannot hold is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from tuner.errors import Advice, TunerError
from tuner.export import low_rank, names
from tuner.export.catalog import Dialect
from tuner.export.dora import parameter
from tuner.export.kinds import kind
from tuner.export.source import Base, Tensors, Trained

DORA_SCALE = "fluxtuner.dora_scale"
"""In the header of a file whose norms were converted for ComfyUI."""


def tensors(trained: Trained, row: Dialect, base: Base) -> dict[str, Tensor]:
    """What a file in this dialect holds, float32; TunerError where the dialect cannot hold it."""
    loras = {module: one for module, part in trained.modules.items() if (one := low_rank.trained(part))}
    others = {module: part for module, part in trained.modules.items() if module not in loras}
    _refuse(trained, row)
    return _DIALECTS[row.name](trained, loras, others, base)


def about(trained: Trained, row: Dialect) -> dict[str, str]:
    """What the header says of the algorithms; it overrides what the settings say."""
    there = sorted(_titles(trained))
    words = {"fluxtuner.algorithms": ", ".join(there), "fluxtuner.dialect": row.name}
    if "DoRA" in there and row.name == "comfyui":
        words[DORA_SCALE] = "m * |W| / |W + dW|, because ComfyUI divides by |W|"
    return words


def notes(trained: Trained, row: Dialect) -> tuple[str, ...]:
    """What its user should know, as sentences."""
    there = _titles(trained)
    return tuple(text for title, text in _NOTES if row.name == "comfyui" and title in there)


_NOTES = (
    ("DoRA by columns", "diffusers leaves DoRA out of this file."),
    ("DoRA", "diffusers leaves DoRA out of this file: export with the dialect 'diffusers' for it."),
    ("OFT", "Use this file at strength 1.0 only, and not in forge, which does not know OFT and BOFT."),
)


def _titles(trained: Trained) -> set[str]:
    return {_title(part) for part in trained.modules.values()}


def _title(part: Tensors) -> str:
    lora = low_rank.trained(part)
    if lora is None:
        return kind(part).title
    if lora.magnitude is None:
        return "LoRA"
    return "DoRA" if lora.magnitude.shape[1] == 1 else "DoRA by columns"


def _refuse(trained: Trained, row: Dialect) -> None:
    if row.algorithms and (strange := sorted(_titles(trained) - set(row.algorithms))):
        raise TunerError(
            f"A file for {row.title} cannot hold {' and '.join(strange)}.",
            Advice("Export with the dialect 'comfyui'."),
        )


def _comfyui(
    trained: Trained, loras: Mapping[str, low_rank.LowRank], others: Mapping[str, Tensors], base: Base
) -> dict[str, Tensor]:
    found = low_rank.for_comfyui(loras, base)
    for module, part in others.items():
        found |= kind(part).write(module, part, base)
    return found | _biases(trained, base)


_DIALECTS: Mapping[str, Callable[..., dict[str, Tensor]]] = {
    "comfyui": _comfyui,
    "diffusers": lambda trained, loras, others, base: low_rank.for_diffusers(loras),
    "kohya": lambda trained, loras, others, base: low_rank.for_kohya(loras),
}


def _biases(trained: Trained, base: Base) -> dict[str, Tensor]:
    """`bias.diff` of BFL's layers: the only key that ComfyUI takes for part of a fused one."""
    found: dict[str, Tensor] = {}
    for module, part in trained.modules.items():
        change = _bias(module, part, trained.bypassed, base)
        if change is None:
            continue
        place, key = names.native_of(module), f"{names.native_stem(module)}.bias.diff"
        if place.rows is None:
            found[key] = names.in_native_order(module, change)
        else:
            start, end = place.rows
            hidden = len(change) // (end - start)
            whole = found.setdefault(key, torch.zeros(place.num_rows * hidden))
            whole[start * hidden : end * hidden] = change
    return found


def _bias(module: str, part: Tensors, bypassed: bool, base: Base) -> Tensor | None:
    """What training changed of a layer's bias (out,); None for nothing."""
    if "diff" in part:
        return part.get("diff_b")
    if not bypassed or low_rank.trained(part) or (turn := kind(part).turn) is None:
        return None
    bias = parameter(f"{module}.bias", base)
    return turn(part, bias) - bias

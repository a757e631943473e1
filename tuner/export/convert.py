"""A trained adapter as the tensors of a file, in each dialect; what a dialect cannot say is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tuner.errors import Advice, TunerError
from tuner.export import low_rank, names, rotation
from tuner.export.catalog import Dialect
from tuner.export.dora import dora_scale, ia3, parameter, scaled
from tuner.export.source import Base, Tensors, Trained

_Write = Callable[[str, Tensors, Base], dict[str, Tensor]]
_Turn = Callable[[Tensors, Tensor], Tensor]


@dataclass(frozen=True)
class Kind:
    """An algorithm that is no LoRA; its suffixes, and only its, begin with `mark`.

    `write` makes what ComfyUI reads. `turn` says what becomes of a layer's output rows, and so, where LyCORIS
    worked on the output, of its bias; None where the bias stays.
    """

    title: str
    mark: str
    write: _Write
    turn: _Turn | None = None


def tensors(trained: Trained, row: Dialect, base: Base) -> dict[str, Tensor]:
    """What a file in this dialect holds, float32; TunerError where the dialect has no words for it."""
    loras = {module: one for module, part in trained.modules.items() if (one := low_rank.trained(part))}
    others = {module: part for module, part in trained.modules.items() if module not in loras}
    _refuse(trained, row)
    return _DIALECTS[row.name](trained, loras, others, base)


def about(trained: Trained, row: Dialect) -> dict[str, str]:
    """What the header says of the algorithms; it overrides what the settings say."""
    there = sorted(_titles(trained))
    words = {"fluxtuner.algorithms": ", ".join(there), "fluxtuner.dialect": row.name}
    if "DoRA" in there and row.name == "comfyui":
        words["fluxtuner.dora_scale"] = "m * |W| / |W + dW|, because ComfyUI divides by |W|"
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
        return _kind(part).title
    if lora.magnitude is None:
        return "LoRA"
    return "DoRA" if lora.magnitude.shape[1] == 1 else "DoRA by columns"


def _refuse(trained: Trained, row: Dialect) -> None:
    if row.algorithms and (strange := sorted(_titles(trained) - set(row.algorithms))):
        raise TunerError(
            f"{row.title} has no words for {' and '.join(strange)}.",
            Advice("Export with the dialect 'comfyui'."),
        )


def _comfyui(
    trained: Trained, loras: Mapping[str, low_rank.LowRank], others: Mapping[str, Tensors], base: Base
) -> dict[str, Tensor]:
    found = low_rank.for_comfyui(loras, base)
    for module, part in others.items():
        found |= _kind(part).write(module, part, base)
    return found | _biases(trained, base)


_DIALECTS: Mapping[str, Callable[..., dict[str, Tensor]]] = {
    "comfyui": _comfyui,
    "diffusers": lambda trained, loras, others, base: low_rank.for_diffusers(loras),
    "kohya": lambda trained, loras, others, base: low_rank.for_kohya(loras),
}


def _as_it_is(
    module: str, part: Tensors, delta: Tensor | None = None, base: Base | None = None
) -> dict[str, Tensor]:
    """Under LyCORIS' own names; where DoRA goes with it, `delta` (out, in) is the change of the weight."""
    stem = names.lycoris_stem(module)
    written = {f"{stem}.{suffix}": tensor for suffix, tensor in part.items()}
    if "dora_scale" in part and delta is not None and base is not None:
        written[f"{stem}.dora_scale"] = dora_scale(module, delta, part["dora_scale"], base)
    return written


def _loha(module: str, part: Tensors, base: Base) -> dict[str, Tensor]:
    first, second = (part[f"hada_w{n}_a"] @ part[f"hada_w{n}_b"] for n in (1, 2))
    return _as_it_is(module, part, first * second * (part["alpha"] / part["hada_w1_b"].shape[0]), base)


def _lokr(module: str, part: Tensors, base: Base) -> dict[str, Tensor]:
    """With both factors whole, LyCORIS trains at scale 1, whatever alpha is; ComfyUI reads it so too."""
    halves = [
        part[f"lokr_w{n}"] if f"lokr_w{n}" in part else part[f"lokr_w{n}_a"] @ part[f"lokr_w{n}_b"]
        for n in (1, 2)
    ]
    ranks = [part[f"lokr_w{n}_b"].shape[0] for n in (1, 2) if f"lokr_w{n}_b" in part]
    scale = part["alpha"] / ranks[-1] if ranks else 1.0
    return _as_it_is(module, part, torch.kron(*halves) * scale, base)


def _glora(module: str, part: Tensors, base: Base) -> dict[str, Tensor]:
    """W a1 a2 + b1 b2: ComfyUI would turn the rows of the first half too, where it turns rows at all."""
    if not names.native_of(module).halves_swapped:
        return _as_it_is(module, part)
    turned = {**part, "b1.weight": names.in_native_order(module, part["b1.weight"])}
    return {f"{names.native_stem(module)}.{suffix}": tensor for suffix, tensor in turned.items()}


def _full(module: str, part: Tensors, base: Base) -> dict[str, Tensor]:
    """The difference itself; by BFL's name where rows change places, because forge does not move them."""
    swapped = names.native_of(module).halves_swapped
    stem = names.native_stem(module) if swapped else names.stem(module)
    return {f"{stem}.diff": names.in_native_order(module, part["diff"])}


KINDS: tuple[Kind, ...] = (
    Kind("LoHa", "hada_", _loha),
    Kind("LoKr", "lokr_", _lokr),
    Kind("GLoRA", "a1.", _glora),
    Kind("OFT", "oft_", lambda module, part, base: rotation.for_comfyui(module, part), rotation.turned),
    Kind("IA3", "on_input", ia3, scaled),
    Kind("full weights", "diff", _full),
)


def _kind(part: Tensors) -> Kind:
    return next(row for row in KINDS if any(suffix.startswith(row.mark) for suffix in part))


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
    if not bypassed or low_rank.trained(part) or (turn := _kind(part).turn) is None:
        return None
    bias = parameter(f"{module}.bias", base)
    return turn(part, bias) - bias

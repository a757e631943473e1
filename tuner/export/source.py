"""The adapter file of a checkpoint: the trained tensors of each module, read and looked at before use."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tuner.errors import Advice, TunerError
from tuner.export import names

Tensors = Mapping[str, Tensor]
"""Of one module, by the suffix that training gave them: `lora_A.weight`, `lokr_w1`, `alpha` ..."""

Base = Callable[[str], Tensor | None]
"""A parameter of the untrained transformer by its name in diffusers; None where the model is out of reach."""

_LORA_SUFFIXES = (
    "lora_A.weight",
    "lora_B.weight",
    "lora_A_init.weight",
    "lora_B_init.weight",
    "lora_magnitude_vector",
    "alpha",
)

LAYOUTS: tuple[tuple[str, str], ...] = (
    ("lora_A.weight lora_B.weight alpha", "lora_magnitude_vector"),
    (
        "lora_A.weight lora_B.weight lora_A_init.weight lora_B_init.weight alpha",
        "lora_magnitude_vector",
    ),
    ("lora_down.weight lora_up.weight alpha", "dora_scale"),
    ("hada_w1_a hada_w1_b hada_w2_a hada_w2_b alpha", "dora_scale"),
    ("lokr_w1 lokr_w2 alpha", "dora_scale"),
    ("lokr_w1 lokr_w2_a lokr_w2_b alpha", "dora_scale"),
    ("lokr_w1_a lokr_w1_b lokr_w2 alpha", "dora_scale"),
    ("lokr_w1_a lokr_w1_b lokr_w2_a lokr_w2_b alpha", "dora_scale"),
    ("a1.weight a2.weight b1.weight b2.weight alpha", ""),
    ("oft_blocks alpha", "rescale"),
    ("weight on_input", ""),
    ("diff", "diff_b"),
)
"""The suffixes that a trained module has, and those that it may have besides."""

_JOINTS: tuple[tuple[str, str], ...] = (
    ("lora_B.weight", "lora_A.weight"),
    ("lora_B_init.weight", "lora_A_init.weight"),
    ("lora_up.weight", "lora_down.weight"),
    ("hada_w1_a", "hada_w1_b"),
    ("hada_w2_a", "hada_w2_b"),
    ("lokr_w1_a", "lokr_w1_b"),
    ("lokr_w2_a", "lokr_w2_b"),
    ("a1.weight", "a2.weight"),
    ("b1.weight", "b2.weight"),
)
"""Matrices that are multiplied: the columns of the first are the rows of the second."""


_FACTORS = (("diff",), ("weight", "on_input"), ("lokr_w1", "lokr_w2"), ("alpha",))
"""What the effect is proportional to: of the first row that is there, the first."""


@dataclass(frozen=True)
class Trained:
    """An adapter: tensors by module path, as diffusers names it; `lycoris` is its lycoris_config.json."""

    modules: Mapping[str, Tensors]
    lycoris: Mapping[str, Any]

    @property
    def bypassed(self) -> bool:
        """Whether LyCORIS worked on the layers' outputs: what turns or scales these does so to the bias."""
        return str(self.lycoris.get("bypass_mode")).strip().lower() in ("true", "1", "yes")


def read(source: Path) -> Trained:
    """The adapter file of a checkpoint, float32; raises TunerError where it is damaged or not for FLUX.1."""
    try:
        with safe_open(source, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no dict
            lycoris = json.loads((file.metadata() or {}).get("lycoris_config", "{}"))
    except (OSError, ValueError, SafetensorError) as error:
        raise TunerError(
            f"The adapter file '{source}' cannot be read.", Advice("Export another checkpoint.")
        ) from error
    modules: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        module, suffix = _place(key)
        modules.setdefault(module, {})[suffix] = tensor.float()
    if strangers := [module for module in modules if names.native(module) is None]:
        raise TunerError(
            f"ComfyUI would leave out {len(strangers)} of {len(modules)} trained layers, "
            f"the first is '{strangers[0]}'.",
            Advice("Train layers of FLUX.1 only."),
        )
    why = "it is empty" if not modules else next(filter(None, map(_harm, modules, modules.values())), None)
    if why:
        raise TunerError(
            f"The adapter file '{source}' is damaged: {why}.", Advice("Export another checkpoint.")
        )
    strength = float(lycoris.get("multiplier") or 1.0)
    return Trained({module: _at(strength, module, part) for module, part in modules.items()}, lycoris)


def _at(strength: float, module: str, part: Tensors) -> Tensors:
    """With the `multiplier` of lycoris_config.json, that training applied, worked into the tensors."""
    if strength == 1.0:
        return part
    if "oft_blocks" in part or "dora_scale" in part:
        raise TunerError(
            f"A file cannot say that '{module}' was trained at a strength of {strength:g}.",
            Advice("Train rotations and DoRA with 'multiplier' 1.", {"lycoris.multiplier": 1.0}),
        )
    factor = next(together[0] for together in _FACTORS if set(together) <= part.keys())
    return {**part, **{name: part[name] * strength for name in (factor, "diff_b") if name in part}}


def _place(key: str) -> tuple[str, str]:
    """Module path and suffix; of a foreign key, the key itself as a module that FLUX.1 does not have."""
    for suffix in _LORA_SUFFIXES:
        if key.startswith("transformer.") and key.endswith(f".{suffix}"):
            return key.removeprefix("transformer.").removesuffix(f".{suffix}"), suffix
    name, _, suffix = key.partition(".")
    return names.module_of_lycoris(name) or key, suffix


def _harm(module: str, tensors: Tensors) -> str | None:
    """What is wrong with the tensors of one module, in words."""
    there = set(tensors)
    if not any(
        set(needed.split()) <= there <= {*needed.split(), *allowed.split()} for needed, allowed in LAYOUTS
    ):
        return f"the tensors of '{module}' are not those of a known algorithm ({', '.join(sorted(there))})"
    pairs = [(tensors[left], tensors[right]) for left, right in _JOINTS if left in there and right in there]
    if any(left.dim() != 2 or right.dim() != 2 or left.shape[1] != right.shape[0] for left, right in pairs):
        return f"the shapes of '{module}' do not belong together"
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        return f"'{module}' holds numbers that are not finite"
    return None

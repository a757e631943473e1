"""Adapters of every algorithm on a FLUX of toy size, made by the libraries that define them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lycoris.wrapper import LycorisNetwork
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.export.adapters import linear_names, tiny_transformer
from tuner.export.loader import Slot, patched, patches, slots

PRESET: dict[str, Any] = {
    "enable_conv": False,
    "target_module": [],
    "target_name": [],
    "module_algo_map": {},
    "name_algo_map": {},
    "lora_prefix": "lycoris",
    "use_fnmatch": True,
    "exclude_name": [],
}

GROUPS: dict[str, str] = {
    "attention": r".*attn\.to_(q|k|v|out\.0)",
    "context": r".*(attn\.(add_._proj|to_add_out)|ff_context.*)",
    "feed forward": r".*(ff\.net.*|proj_mlp)",
    "outputs of single blocks": r"single.*proj_out",
    "modulation": r".*(norm1|norm1_context|norm)\.linear",
    "embedders": r"(x_embedder|context_embedder|time_text_embed.*)",
    "last modulation": r"norm_out\.linear",
    "last layer": r"proj_out",
}
"""What is trained, as patterns of module paths."""


@dataclass(frozen=True)
class Made:
    """`path` is a checkpoint's file; `effects` what a layer answers to `inputs`, minus the untrained."""

    path: Path
    effects: Mapping[str, Tensor]
    parameters: Mapping[str, Tensor]


@dataclass(frozen=True)
class Recipe:
    """`options` of LycorisNetwork, or of LoraConfig for `peft`; `dialects` that can hold it."""

    options: Mapping[str, Any]
    peft: bool = False
    dialects: tuple[str, ...] = ("comfyui",)
    lycoris_config: Mapping[str, Any] = field(default_factory=dict)


LORA, DORA, OTHER = ("comfyui", "diffusers", "kohya"), ("comfyui", "diffusers"), ("comfyui",)
RECIPES: dict[str, Recipe] = {
    "LoRA": Recipe({"r": 4, "lora_alpha": 2}, peft=True, dialects=LORA),
    "rsLoRA": Recipe({"r": 4, "lora_alpha": 3, "use_rslora": True}, peft=True, dialects=LORA),
    "DoRA": Recipe({"r": 4, "lora_alpha": 2, "use_dora": True}, peft=True, dialects=DORA),
    "LoCon": Recipe({"network_module": "locon", "lora_dim": 4, "alpha": 2}, dialects=LORA),
    "LoCon, DoRA by rows": Recipe(
        {"network_module": "locon", "lora_dim": 4, "alpha": 2, "weight_decompose": True}, dialects=DORA
    ),
    "LoCon, DoRA by columns": Recipe(
        {"network_module": "locon", "lora_dim": 4, "alpha": 2, "weight_decompose": True, "wd_on_out": False}
    ),
    "LoHa": Recipe({"network_module": "loha", "lora_dim": 4, "alpha": 2}),
    "LoHa, DoRA": Recipe({"network_module": "loha", "lora_dim": 4, "alpha": 2, "weight_decompose": True}),
    "LoKr whole": Recipe({"network_module": "lokr", "lora_dim": 10000, "alpha": 10000, "factor": 8}),
    "LoKr": Recipe({"network_module": "lokr", "lora_dim": 2, "alpha": 1, "factor": 4}),
    "LoKr, both decomposed": Recipe(
        {"network_module": "lokr", "lora_dim": 2, "alpha": 1, "factor": -1, "decompose_both": True}
    ),
    "LoKr unbalanced": Recipe(
        {"network_module": "lokr", "lora_dim": 2, "alpha": 3, "factor": 4, "unbalanced_factorization": True}
    ),
    "LoKr, DoRA": Recipe(
        {"network_module": "lokr", "lora_dim": 2, "alpha": 1, "factor": 4, "weight_decompose": True}
    ),
    "GLoRA": Recipe({"network_module": "glora", "lora_dim": 4, "alpha": 2}),
    "OFT": Recipe({"network_module": "diag-oft", "lora_dim": 4, "alpha": 1}),
    "OFT within a constraint": Recipe(
        {"network_module": "diag-oft", "lora_dim": 4, "alpha": 1, "constraint": 1e-3}
    ),
    "OFT rescaled": Recipe({"network_module": "diag-oft", "lora_dim": 4, "alpha": 1, "rescaled": True}),
    "OFT on outputs": Recipe({"network_module": "diag-oft", "lora_dim": 4, "alpha": 1, "bypass_mode": True}),
    "BOFT": Recipe({"network_module": "boft", "lora_dim": 8, "alpha": 1}),
    "BOFT rescaled within a constraint": Recipe(
        {"network_module": "boft", "lora_dim": 8, "alpha": 1, "rescaled": True, "constraint": 1e-3}
    ),
    "BOFT on outputs": Recipe({"network_module": "boft", "lora_dim": 8, "alpha": 1, "bypass_mode": True}),
    "IA3": Recipe({"network_module": "ia3"}),
    "IA3 on inputs": Recipe({"network_module": "ia3", "train_on_input": True}),
    "IA3 on outputs": Recipe({"network_module": "ia3", "bypass_mode": True}),
    "full": Recipe({"network_module": "full"}),
}


def make(recipe: Recipe, folder: Path, num_blocks: int = 1) -> Made:
    """Every Linear layer trained; `effects` are answers to fixed inputs, (5, in) -> (5, out) by module."""
    transformer = tiny_transformer(num_blocks)
    for parameter in transformer.parameters():
        parameter.requires_grad_(False)
        if parameter.dim() == 1:  # biases are zero in some layers
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)) / 10)
    parameters = {name: value.clone() for name, value in transformer.state_dict().items()}
    modules = linear_names(transformer)
    before = _answers(transformer, modules)
    path = folder / "pytorch_lora_weights.safetensors"
    (_peft if recipe.peft else _lycoris)(transformer, modules, recipe.options, path)
    after = _answers(transformer, modules)
    return Made(path, {name: after[name] - before[name] for name in modules}, parameters)


def inputs(num_columns: int) -> Tensor:
    return torch.randn(5, num_columns, generator=torch.Generator().manual_seed(4))


@torch.no_grad()
def _answers(transformer: nn.Module, modules: list[str]) -> dict[str, Tensor]:
    layers = {name: transformer.get_submodule(name) for name in modules}
    return {name: layer(inputs(layer.in_features)) for name, layer in layers.items()}


def _shaken(parameters: Any) -> None:
    """As after some training: no number where it was."""
    dice = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in parameters:
            parameter += torch.randn(parameter.shape, generator=dice) / 20


def _peft(transformer: nn.Module, modules: list[str], options: Mapping[str, Any], path: Path) -> None:
    config = LoraConfig(target_modules=modules, **options)
    inject_adapter_in_model(config, transformer, adapter_name="default")
    found = {}
    for name, layer in transformer.named_modules():
        if not isinstance(layer, LoraLayer):
            continue
        stem, weights = (
            f"transformer.{name}",
            [layer.lora_A["default"].weight, layer.lora_B["default"].weight],
        )
        _shaken(weights)
        found |= {f"{stem}.lora_A.weight": weights[0], f"{stem}.lora_B.weight": weights[1]}
        found[f"{stem}.alpha"] = torch.tensor(float(layer.scaling["default"] * layer.r["default"]))
        if layer.use_dora["default"]:
            norms = layer.lora_magnitude_vector["default"].weight
            _shaken([norms])
            found[f"{stem}.lora_magnitude_vector"] = norms
    save_file({key: value.detach().clone() for key, value in found.items()}, path)


def _lycoris(transformer: nn.Module, modules: list[str], options: Mapping[str, Any], path: Path) -> None:
    LycorisNetwork.apply_preset({**PRESET, "target_name": modules})
    network = LycorisNetwork(transformer, warn_on_unmatched=False, **options)
    network.apply_to()
    assert len(network.loras) == len(modules)
    _shaken(network.parameters())
    network.eval()
    found = {key: value.detach().clone().contiguous() for key, value in network.state_dict().items()}
    config = {"algo": options["network_module"], "bypass_mode": options.get("bypass_mode", False)}
    save_file(found, path, metadata={"lycoris_config": json.dumps(config)})


def changes_of(path: Path, dialect: str, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a file changes of a transformer's `parameters`, by the names of diffusers."""
    found, strange = patches(load_file(path), dialect)
    assert strange == []
    changes = {name: torch.zeros_like(value) for name, value in parameters.items()}
    for patch in found:
        kind = "bias" if patch.slot.parameter.endswith(".bias") else "weight"
        inside = [
            name for name, slot in slots().items() if _holds(patch.slot, slot) and f"{name}.{kind}" in changes
        ]
        inside.sort(key=lambda name: slots()[name].start)
        pieces = [_halves(parameters[f"{name}.{kind}"], slots()[name].turned) for name in inside]
        whole = torch.cat(pieces)
        difference = patched(patch, whole) - whole
        for name, piece in zip(inside, difference.split([len(piece) for piece in pieces]), strict=True):
            changes[f"{name}.{kind}"] = _halves(piece, slots()[name].turned)
    return changes


def _holds(outer: Slot, inner: Slot) -> bool:
    return outer.parameter.removesuffix(".bias") == inner.parameter and (not outer.length or outer == inner)


def _halves(rows: Tensor, turned: bool) -> Tensor:
    return torch.cat(rows.chunk(2)[::-1]) if turned else rows

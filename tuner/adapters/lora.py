"""LoRA through PEFT, behind the small `Adapter` that training and previews see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from tuner.adapters.shape import LoraShape
from tuner.errors import Advice, CheckpointMismatch, TunerError

_PEFT_NAME = "default"


class Adapter:
    """The trainable layers inside a transformer, and their way to and from a file.

    Tensors leave as `transformer.<module>.lora_A.weight` (r, in), `.lora_B.weight` (out, r) and `.alpha`,
    float32.
    """

    def __init__(self, transformer: nn.Module) -> None:
        self._layers = {name: m for name, m in transformer.named_modules() if isinstance(m, LoraLayer)}

    @property
    def num_modules(self) -> int:
        return len(self._layers)

    def parameters(self) -> list[nn.Parameter]:
        return [weight for _, weight in self._weights()]

    def tensors(self) -> dict[str, Tensor]:
        """Copies on the CPU of everything that a file needs."""
        found = {key: weight.detach().float().cpu().clone() for key, weight in self._weights()}
        for name, layer in self._layers.items():
            found[f"transformer.{name}.alpha"] = torch.tensor(layer.scaling[_PEFT_NAME] * layer.r[_PEFT_NAME])
        return found

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Takes the values of `tensors`, named as `tensors()` names them; raises CheckpointMismatch on any
        difference.
        """
        weights = dict(self._weights())
        given = {key: value for key, value in tensors.items() if not key.endswith(".alpha")}
        wrong = sorted(weights.keys() ^ given.keys()) or [
            k for k in weights if weights[k].shape != given[k].shape
        ]
        if wrong:
            raise CheckpointMismatch(
                f"The adapter file does not fit these settings: {len(wrong)} tensors differ, "
                f"the first is '{wrong[0]}'.",
                Advice("Use the rank and targets that the file was made with, or start a new run."),
            )
        with torch.no_grad():
            for key, weight in weights.items():
                weight.copy_(given[key])
        for name, layer in self._layers.items():
            alpha = tensors.get(f"transformer.{name}.alpha")
            if alpha is not None:
                layer.scaling[_PEFT_NAME] = alpha.item() / layer.r[_PEFT_NAME]

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """The transformer without its adapter, for the baseline."""
        for layer in self._layers.values():
            layer.enable_adapters(False)
        try:
            yield
        finally:
            for layer in self._layers.values():
                layer.enable_adapters(True)

    @contextmanager
    def strength(self, value: float) -> Iterator[None]:
        """The adapter with its effect multiplied by `value`, for previews."""
        before = [layer.scaling[_PEFT_NAME] for layer in self._layers.values()]
        for layer in self._layers.values():
            layer.scaling[_PEFT_NAME] *= value
        try:
            yield
        finally:
            for layer, scaling in zip(self._layers.values(), before, strict=True):
                layer.scaling[_PEFT_NAME] = scaling

    def config(self) -> Mapping[str, Any] | None:
        """None: only a LyCORIS needs a file that says how it was built."""
        return None

    def _weights(self) -> Iterator[tuple[str, nn.Parameter]]:
        for name, layer in self._layers.items():
            yield f"transformer.{name}.lora_A.weight", layer.lora_A[_PEFT_NAME].weight
            yield f"transformer.{name}.lora_B.weight", layer.lora_B[_PEFT_NAME].weight


def attach(transformer: nn.Module, shape: LoraShape) -> Adapter:
    """Puts a fresh float32 LoRA on every targeted layer: B is zero, so it has no effect at the start."""
    config = LoraConfig(
        r=shape.rank,
        lora_alpha=shape.alpha,
        lora_dropout=shape.dropout,
        init_lora_weights="gaussian" if shape.init == "gaussian" else True,
        target_modules=list(shape.targets),
    )
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(shape.seed)
        try:
            inject_adapter_in_model(config, transformer, adapter_name=_PEFT_NAME)
        except ValueError as error:
            if "not found in the base model" not in str(error):
                raise
            raise TunerError(
                "None of the chosen LoRA targets exists in this transformer.",
                Advice("Choose the target 'all'.", {"adapter.flux_lora_target": "all"}),
            ) from error
    adapter = Adapter(transformer)
    for weight in adapter.parameters():
        weight.data = weight.data.float()
        weight.requires_grad_(True)
    return adapter

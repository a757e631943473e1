"""Puts the adapter of a run on its transformer."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tuner.adapters.adapter import Adapter
from tuner.adapters.base import Base
from tuner.adapters.catalog import algorithm
from tuner.adapters.lora_file import to_start_from
from tuner.errors import Advice, ModelMissing
from tuner.export.convert import DORA_SCALE
from tuner.export.foreign import as_ours, with_norms
from tuner.flux import headers, loading
from tuner.flux.streaming import bring
from tuner.plan import adapter as plans
from tuner.quantization.frozen import dequantized
from tuner.settings.run import RunSettings
from tuner.training.models import transformer_source


def attach_adapter(settings: RunSettings, transformer: torch.nn.Module) -> Adapter:
    """A fresh adapter, or one that goes on from the file that `init_lora` names."""
    choice = settings.adapter
    base = Base(_effective, _originals(settings))
    adapter = algorithm(choice.lora_type).attach(transformer, plans.shape(settings), base)
    if choice.init_lora is not None:
        file = Path(choice.init_lora)
        tensors = to_start_from(as_ours(_read(file), file))
        if choice.use_dora and choice.lora_type == "standard":
            ours = DORA_SCALE in headers.metadata(file)
            layers = transformer.get_submodule
            tensors = with_norms(
                tensors, lambda path: _effective(layers(path)), base.original if ours else None
            )
        adapter.load(tensors)
    return adapter


def _effective(layer: torch.nn.Module) -> Tensor:
    """The weight in float32, also where its block waits in the computer's memory."""
    bring(layer)
    return dequantized(layer)


def _originals(settings: RunSettings) -> Callable[[str], Tensor]:
    """Opens the transformer's files only when the first weight is asked for."""
    opened = cache(lambda: loading.originals(transformer_source(settings)))
    return lambda path: opened()(path)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelMissing(
            f"The adapter file '{path}' cannot be read.",
            Advice("Start from a fresh adapter.", {"adapter.init_lora": None}),
        ) from error

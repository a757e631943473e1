"""The frozen models of a run, in the precisions and on the device that its settings ask for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from diffusers import FluxTransformer2DModel

from tuner.flux import loading
from tuner.flux.attention import BACKENDS
from tuner.flux.streaming import Streaming
from tuner.flux.targets import UNQUANTIZED
from tuner.flux.text import TextEncoders
from tuner.flux.weights import Change
from tuner.plan import sources
from tuner.plan.levers import ALL_THERE, Levers
from tuner.quantization.catalog import precision
from tuner.settings.run import RunSettings
from tuner.training.hardware import Hardware
from tuner.training.kept import kept

CPU = torch.device("cpu")


def transformer_source(settings: RunSettings) -> loading.Source:
    place, subfolder = sources.transformer_place(settings)
    return loading.Source(place, subfolder, settings.model.revision, settings.model.variant)


def load_transformer(
    settings: RunSettings, hardware: Hardware, levers: Levers = ALL_THERE, change: Change | None = None
) -> FluxTransformer2DModel:
    """Each linear layer is quantized as soon as it is read, so that the whole never lies in memory; the next
    time it comes from the weight store, unless `change` makes something else of it. Those of streamed blocks
    wait in the computer's memory.
    """
    dtype, name = rest_dtype(settings, hardware), settings.memory.base_model_precision
    source, quantized_on = transformer_source(settings), _quantized_on(settings, hardware)

    def there(path: str) -> torch.device:
        return CPU if ".".join(path.split(".")[:2]) in levers.streamed else hardware.device

    place = _placed(name, dtype, there, quantized_on)
    store = (
        kept(source, name, dtype, place, there, quantized_on)
        if change is None
        else nullcontext((place, None))
    )
    with store as (place, stored):
        transformer = loading.transformer(
            source, dtype, hardware.device, place, levers.evicts, stored, change
        )
    transformer.set_attention_backend(BACKENDS[settings.model.attention_mechanism])
    if levers.streamed:
        Streaming([transformer.get_submodule(path) for path in levers.streamed], hardware.device)
    return transformer


def load_text_encoders(settings: RunSettings, hardware: Hardware, by_layer: bool = False) -> TextEncoders:
    """Both; `by_layer`: T5-XXL is read one layer at a time."""
    memory = settings.memory
    first, second = (
        _placed(name, hardware.dtype, lambda path: hardware.device, _quantized_on(settings, hardware))
        for name in (memory.text_encoder_1_precision, memory.text_encoder_2_precision)
    )
    source = loading.Source(
        sources.model_place(settings), None, settings.model.revision, settings.model.variant
    )
    num_tokens = sources.num_text_tokens(settings)
    rows = settings.dataset.text_encoder_batch_size if by_layer else None
    return loading.text_encoders(source, hardware.dtype, hardware.device, num_tokens, (first, second), rows)


def rest_dtype(settings: RunSettings, hardware: Hardware) -> torch.dtype:
    """The format of a transformer's unquantized parts; never coarser than what the run computes in."""
    memory = settings.memory
    if precision(memory.base_model_precision).quantize and memory.base_model_default_dtype == "fp32":
        return torch.float32
    return hardware.dtype


def _quantized_on(settings: RunSettings, hardware: Hardware) -> torch.device:
    return CPU if settings.memory.quantize_via == "cpu" else hardware.device


def _placed(
    name: str, dtype: torch.dtype, there: Callable[[str], torch.device], quantized_on: torch.device
) -> loading.Place:
    """How linear layers are made in the precision `name`; `there` says where the one at a path stays."""
    quantize = precision(name).quantize

    def place(path: str, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.nn.Module:
        if quantize is None or path in UNQUANTIZED:
            return loading.plain(dtype, there(path))(path, weight, bias)
        return quantize(weight.to(quantized_on), bias, there(path), dtype)

    return place

"""The frozen models of a run, in the precisions and on the device that its settings ask for."""

from __future__ import annotations

import torch
from diffusers import FluxTransformer2DModel

from tuner.flux import loading
from tuner.flux.attention import BACKENDS
from tuner.flux.targets import UNQUANTIZED
from tuner.flux.text import TextEncoders
from tuner.plan import sources
from tuner.quantization.catalog import precision
from tuner.settings.run import RunSettings
from tuner.training.hardware import Hardware


def transformer_source(settings: RunSettings) -> loading.Source:
    place, subfolder = sources.transformer_place(settings)
    return loading.Source(place, subfolder, settings.model.revision, settings.model.variant)


def load_transformer(settings: RunSettings, hardware: Hardware) -> FluxTransformer2DModel:
    """Each linear layer is quantized as soon as it is read, so that the whole never lies in memory."""
    dtype = rest_dtype(settings, hardware)
    place = _placed(settings, settings.memory.base_model_precision, dtype, hardware)
    transformer = loading.transformer(transformer_source(settings), dtype, hardware.device, place)
    transformer.set_attention_backend(BACKENDS[settings.model.attention_mechanism])
    return transformer


def load_text_encoders(settings: RunSettings, hardware: Hardware) -> TextEncoders:
    memory = settings.memory
    first, second = (
        _placed(settings, name, hardware.dtype, hardware)
        for name in (memory.text_encoder_1_precision, memory.text_encoder_2_precision)
    )
    source = loading.Source(
        sources.model_place(settings), None, settings.model.revision, settings.model.variant
    )
    num_tokens = sources.num_text_tokens(settings)
    return loading.text_encoders(source, hardware.dtype, hardware.device, num_tokens, (first, second))


def rest_dtype(settings: RunSettings, hardware: Hardware) -> torch.dtype:
    """The format of a transformer's unquantized parts; never coarser than what the run computes in."""
    memory = settings.memory
    if precision(memory.base_model_precision).quantize and memory.base_model_default_dtype == "fp32":
        return torch.float32
    return hardware.dtype


def _placed(settings: RunSettings, name: str, dtype: torch.dtype, hardware: Hardware) -> loading.Place | None:
    """How linear layers are made in the precision `name`; None where they stay as they are."""
    quantize = precision(name).quantize
    if quantize is None:
        return None
    unchanged = loading.plain(dtype, hardware.device)
    there = torch.device("cpu") if settings.memory.quantize_via == "cpu" else hardware.device

    def place(path: str, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.nn.Module:
        if path in UNQUANTIZED:
            return unchanged(path, weight, bias)
        return quantize(weight.to(there), bias, hardware.device, dtype)

    return place

"""What does not go together in the adapter, or between it and the base; and what makes no difference."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.adapters import lycoris_check
from tuner.errors import Problem
from tuner.flux import anatomy
from tuner.quantization.catalog import names, precision
from tuner.settings.rules import Rule, problem
from tuner.settings.run import RunSettings

LORA, LYCORIS = "standard", "lycoris"


def _lycoris(settings: RunSettings) -> Iterator[Problem]:
    """Its file, as a whole and over this base."""
    if settings.adapter.lora_type != LYCORIS:
        return
    if not settings.lycoris:
        yield problem(
            "adapter.lora_type",
            LYCORIS,
            f"'lora_type' is '{LYCORIS}', and there is no {lycoris_check.NAME} beside config.json.",
            {"adapter.lora_type": LORA},
        )
        return
    yield from lycoris_check.problems(settings.lycoris, quantized(settings))


def _dora(settings: RunSettings) -> Iterator[Problem]:
    if settings.adapter.lora_type == LYCORIS and settings.adapter.use_dora:
        yield problem(
            "adapter.use_dora",
            True,
            f"'use_dora' is for a plain LoRA; with LyCORIS it is 'dora_wd' in {lycoris_check.NAME}.",
            {"adapter.use_dora": False, "lycoris.dora_wd": True},
        )


def _lokr_norm(settings: RunSettings) -> Iterator[Problem]:
    norm = settings.adapter.init_lokr_norm
    if norm is None or settings.adapter.lora_type != LYCORIS or any(_lycoris(settings)):
        return
    others = [name for name in lycoris_check.algorithms(settings.lycoris) if name != "lokr"]
    if others:
        yield problem(
            "adapter.init_lokr_norm",
            norm,
            f"'init_lokr_norm' does not work here, because it is for 'lokr', and {lycoris_check.NAME} asks "
            f"for '{others[0]}'; leave it out.",
            {"adapter.init_lokr_norm": None},
        )


def notes(settings: RunSettings) -> Iterator[str]:
    """What is filled in for the user, and what of the adapter's settings makes no difference."""
    choice = settings.adapter
    if choice.lora_type == LYCORIS and settings.lycoris and not any(_lycoris(settings)):
        yield from lycoris_check.notes(settings.lycoris, anatomy.CLASSES)
    for words, why in _moot(settings):
        yield f"config.json: {words} makes no difference: {why}."


def _moot(settings: RunSettings) -> Iterator[tuple[str, str]]:
    choice = settings.adapter
    if choice.lora_type == LORA:
        if choice.init_lora is not None and choice.lora_init_type != "default":
            yield f"'lora_init_type': '{choice.lora_init_type}'", "'init_lora' brings the values"
        elif choice.lora_init_type == "loftq" and not quantized(settings):
            yield (
                "'lora_init_type': 'loftq'",
                "the base is not quantized, so nothing was lost that the LoRA could make up for",
            )
        if choice.peft_lora_target_modules and choice.slider_lora_target:
            yield "'slider_lora_target'", "'peft_lora_target_modules' names the layers"
        if choice.init_lokr_norm is not None:
            yield "'init_lokr_norm'", "it is for LyCORIS' 'lokr'"
    if choice.init_lora is None and choice.init_lora_step is not None:
        yield "'init_lora_step'", "no 'init_lora' is given"


def quantized(settings: RunSettings) -> bool:
    name = settings.memory.base_model_precision
    return name in names() and precision(name).quantize is not None


RULES: tuple[Rule, ...] = (_lycoris, _dora, _lokr_norm)

"""The flavours of FLUX.1: what differs between them, one row each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Need:
    """A setting that a flavour cannot do without: `value` is taken where the given one is not accepted;
    `why` is a sentence without its capital and its stop.
    """

    path: str
    value: Any
    why: str
    accepts: Callable[[Any], bool]


@dataclass(frozen=True)
class Flavour:
    """`guidance_embeds`: the transformer takes an embedded guidance value; `num_text_tokens`: T5's padded
    length; `few_steps`: as many preview steps as it was distilled to, 0 where it was not; `assistant`: the
    hub name of a LoRA that holds it together in training; `takes_references`: it works on a given picture.
    """

    name: str
    title: str
    repository: str
    guidance_embeds: bool
    num_text_tokens: int
    architecture: str
    """ModelSpec's name for the base model."""
    needs: tuple[Need, ...] = ()
    few_steps: int = 0
    assistant: str | None = None
    takes_references: bool = False


def _always(path: str, value: Any, why: str) -> Need:
    return Need(path, value, why, lambda given: bool(given == value))


_REAL_GUIDANCE = (
    Need(
        "sampling.validation_guidance_real",
        6.0,
        "it was freed of its distillation and draws only with real guidance above 1",
        lambda given: given > 1,
    ),
    Need(
        "sampling.validation_num_inference_steps",
        28,
        "it was freed of its distillation and needs that many steps at least",
        lambda given: given >= 28,
    ),
)
_MASK = "objective.flux_attention_masked_training"

FLAVOURS: tuple[Flavour, ...] = (
    Flavour("krea", "FLUX.1 Krea [dev]", "black-forest-labs/FLUX.1-Krea-dev", True, 512, "flux-1-dev"),
    Flavour("dev", "FLUX.1 [dev]", "black-forest-labs/FLUX.1-dev", True, 512, "flux-1-dev"),
    Flavour(
        "schnell",
        "FLUX.1 [schnell]",
        "black-forest-labs/FLUX.1-schnell",
        False,
        256,
        "flux-1-schnell",
        needs=(
            _always(
                "objective.flux_fast_schedule",
                True,
                "where no other schedule is chosen, it learns at its own few noise levels",
            ),
        ),
        few_steps=4,
        assistant="ostris/FLUX.1-schnell-training-adapter",
    ),
    Flavour(
        "kontext",
        "FLUX.1 Kontext [dev]",
        "black-forest-labs/FLUX.1-Kontext-dev",
        True,
        512,
        "flux-1-dev",
        takes_references=True,
    ),
    Flavour(
        "fluxbooru",
        "Fluxbooru",
        "terminusresearch/fluxbooru-v0.3",
        True,
        512,
        "flux-1-dev",
        needs=(
            _always("objective.flux_guidance_value", 3.5, "it was trained with that value"),
            _always("objective.flux_guidance_mode", "constant", "it was trained with one value"),
            _always(_MASK, False, "it was trained without a mask"),
            *_REAL_GUIDANCE,
        ),
    ),
    Flavour(
        "libreflux",
        "LibreFLUX",
        "jimmycarter/LibreFlux-SimpleTuner",
        False,
        512,
        "flux-1-schnell",
        needs=(_always(_MASK, True, "it was trained with the mask"), *_REAL_GUIDANCE),
    ),
)


def names() -> tuple[str, ...]:
    return tuple(flavour.name for flavour in FLAVOURS)


def flavour(name: str) -> Flavour:
    """The row called `name`; raises KeyError."""
    return {row.name: row for row in FLAVOURS}[name]

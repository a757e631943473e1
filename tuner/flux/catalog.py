"""The flavours of FLUX.1: what differs between them, one row each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Flavour:
    """`guidance_embeds`: the transformer takes an embedded guidance value; `num_text_tokens`: T5's padded
    length.
    """

    name: str
    title: str
    repository: str
    guidance_embeds: bool
    num_text_tokens: int
    architecture: str
    """ModelSpec's name for the base model."""


FLAVOURS: tuple[Flavour, ...] = (
    Flavour("krea", "FLUX.1 Krea [dev]", "black-forest-labs/FLUX.1-Krea-dev", True, 512, "flux-1-dev"),
    Flavour("dev", "FLUX.1 [dev]", "black-forest-labs/FLUX.1-dev", True, 512, "flux-1-dev"),
    Flavour("schnell", "FLUX.1 [schnell]", "black-forest-labs/FLUX.1-schnell", False, 256, "flux-1-schnell"),
    Flavour(
        "kontext", "FLUX.1 Kontext [dev]", "black-forest-labs/FLUX.1-Kontext-dev", True, 512, "flux-1-dev"
    ),
    Flavour("fluxbooru", "Fluxbooru", "terminusresearch/fluxbooru-v0.3", True, 512, "flux-1-dev"),
    Flavour("libreflux", "LibreFLUX", "jimmycarter/LibreFlux-SimpleTuner", False, 512, "flux-1-schnell"),
)


def names() -> tuple[str, ...]:
    return tuple(flavour.name for flavour in FLAVOURS)


def flavour(name: str) -> Flavour:
    """The row called `name`; raises KeyError."""
    return {row.name: row for row in FLAVOURS}[name]

"""The plain values of a LoRA: what settings hand to an algorithm."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LoraShape:
    """A LoRA in plain values; `alpha` over `rank` scales the effect, `targets` are module-name endings."""

    rank: int
    alpha: float
    dropout: float
    init: str
    targets: tuple[str, ...]
    seed: int

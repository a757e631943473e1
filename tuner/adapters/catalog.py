"""What can be attached to the frozen transformer and trained, one row an algorithm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuner.adapters.shape import LoraShape

if TYPE_CHECKING:
    import torch

    from tuner.adapters.lora import Adapter


@dataclass(frozen=True)
class Algorithm:
    """`attach` freezes nothing: the transformer must come frozen, and leaves with trainable adapter layers
    inside.
    """

    name: str
    title: str
    attach: Callable[[torch.nn.Module, LoraShape], Adapter]


def _attach_lora(transformer: torch.nn.Module, shape: LoraShape) -> Adapter:
    from tuner.adapters import lora

    return lora.attach(transformer, shape)


ALGORITHMS: tuple[Algorithm, ...] = (Algorithm("standard", "LoRA", _attach_lora),)


def names() -> tuple[str, ...]:
    return tuple(row.name for row in ALGORITHMS)


def algorithm(name: str) -> Algorithm:
    """The row called `name`, the value of `lora_type`; raises KeyError."""
    return {row.name: row for row in ALGORITHMS}[name]

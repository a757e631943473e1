"""What can be attached to the frozen transformer and trained: a plain LoRA, or one of LyCORIS' family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from tuner.adapters.adapter import Adapter
    from tuner.adapters.base import Base


@dataclass(frozen=True)
class Algorithm:
    """`attach(transformer, shape, base)` takes a LoraShape or a LycorisShape; the transformer must come
    frozen, and its weights stay as they are.
    """

    name: str
    title: str
    attach: Callable[[torch.nn.Module, Any, Base], Adapter]


def _attach_lora(transformer: torch.nn.Module, shape: Any, base: Base) -> Adapter:
    from tuner.adapters import lora

    return lora.attach(transformer, shape, base)


def _attach_lycoris(transformer: torch.nn.Module, shape: Any, base: Base) -> Adapter:
    from tuner.adapters import lycoris

    return lycoris.attach(transformer, shape, base)


ALGORITHMS: tuple[Algorithm, ...] = (
    Algorithm("standard", "LoRA", _attach_lora),
    Algorithm("lycoris", "LyCORIS", _attach_lycoris),
)


def names() -> tuple[str, ...]:
    return tuple(row.name for row in ALGORITHMS)


def algorithm(name: str) -> Algorithm:
    """The row called `name`, the value of `lora_type`; raises KeyError."""
    return {row.name: row for row in ALGORITHMS}[name]

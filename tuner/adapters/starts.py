"""With which values a LoRA starts, one row a choice of `lora_init_type`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Source = Literal["chance", "weight", "residual"]


@dataclass(frozen=True)
class Start:
    """`source`: what the first values are made of. From chance the effect begins at zero.

    From the frozen `weight` they are its leading part, which is taken off again, so that the effect is what
    training changes of that part. From the `residual`, which quantizing lost of the weight, they stay: the
    quantized layer begins nearer to the original.
    """

    name: str
    title: str
    source: Source


STARTS: tuple[Start, ...] = (
    Start("default", "one side random (uniform), the other zero", "chance"),
    Start("gaussian", "one side random (normal), the other zero", "chance"),
    Start("loftq", "what quantizing lost of the weight", "residual"),
    Start("olora", "the first directions of the weight's QR decomposition", "weight"),
    Start("pissa", "the strongest directions of the weight", "weight"),
)


def names() -> tuple[str, ...]:
    return tuple(row.name for row in STARTS)


def start(name: str) -> Start:
    """The row called `name`, a value of `lora_init_type`; raises KeyError."""
    return {row.name: row for row in STARTS}[name]

"""The file layouts that an adapter can be exported in, one row each."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.errors import Advice, TunerError


@dataclass(frozen=True)
class Dialect:
    """`alpha_tensors`: each module carries its `.alpha`; otherwise alpha / rank is multiplied into lora_B."""

    name: str
    title: str
    advice: str
    alpha_tensors: bool


DIALECTS: tuple[Dialect, ...] = (
    Dialect(
        "comfyui",
        "ComfyUI",
        "The file to use: ComfyUI, forge and diffusers read it exactly.",
        alpha_tensors=True,
    ),
    Dialect(
        "diffusers",
        "diffusers",
        "For older programs that do not know alpha: it is worked into the weights.",
        alpha_tensors=False,
    ),
)

DTYPES: tuple[str, ...] = ("float32", "float16", "bfloat16")
"""Of the matrices; alpha is always float32. float16 is half as large and off by 5e-4, bfloat16 by 3e-3."""


def names() -> tuple[str, ...]:
    return tuple(row.name for row in DIALECTS)


def dialect(name: str) -> Dialect:
    """The row called `name`; raises TunerError."""
    for row in DIALECTS:
        if row.name == name:
            return row
    raise TunerError(f"There is no export format '{name}'.", Advice(f"Choose one of: {', '.join(names())}."))

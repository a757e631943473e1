"""The file layouts that an adapter can be exported in, one row each."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.errors import Advice, TunerError


@dataclass(frozen=True)
class Dialect:
    """`algorithms` are those that it can hold, by their titles; empty for all."""

    name: str
    title: str
    advice: str
    algorithms: tuple[str, ...] = ()


DIALECTS: tuple[Dialect, ...] = (
    Dialect(
        "comfyui",
        "ComfyUI",
        "The file to use: ComfyUI reads it exactly, and so do forge and diffusers where it is a LoRA.",
    ),
    Dialect(
        "diffusers",
        "diffusers",
        "For programs that do not know alpha: it is worked into the weights. LoRA and DoRA only.",
        ("LoRA", "DoRA"),
    ),
    Dialect(
        "kohya",
        "kohya's scripts",
        "By the names of BFL's model, with q, k and v in one matrix: a larger file. LoRA only.",
        ("LoRA",),
    ),
)

DTYPES: tuple[str, ...] = ("float32", "float16", "bfloat16")
"""Of the matrices; what is small or touchy stays float32. float16 is half as large and off by 5e-4, bfloat16
by 3e-3.
"""


def names() -> tuple[str, ...]:
    return tuple(row.name for row in DIALECTS)


def dialect(name: str) -> Dialect:
    """The row called `name`; raises TunerError."""
    for row in DIALECTS:
        if row.name == name:
            return row
    raise TunerError(f"There is no export format '{name}'.", Advice(f"Choose one of: {', '.join(names())}."))

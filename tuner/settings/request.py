"""One picture that somebody wants to see: the unit of previews, of `sample` and of the practice exam."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SampleRequest:
    """`name` is the prompt's short name; None takes the value of the run's sampling settings."""

    prompt: str
    seed: int
    name: str = ""
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    guidance: float | None = None
    strength: float | None = None
    references: tuple[Path, ...] = ()

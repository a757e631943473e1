"""One picture or caption that somebody wants: the units of previews, `sample`, the exam and the captioner."""

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


FLORENCE = "florence-community/Florence-2-base"
"""The form of Florence-2 that transformers reads without foreign code."""
INSTRUCTIONS = {
    "one sentence": "<CAPTION>",
    "in detail": "<DETAILED_CAPTION>",
    "a paragraph": "<MORE_DETAILED_CAPTION>",
}
"""What Florence-2 was taught to do, by how long the captions become."""


@dataclass(frozen=True)
class CaptionRequest:
    """What a captioner is asked for each picture. `model` is a folder or a hub name; `instruction` one of
    `INSTRUCTIONS` or own words; `trigger` is put in front of what it says.
    """

    model: str = FLORENCE
    instruction: str = INSTRUCTIONS["in detail"]
    trigger: str = ""
    max_tokens: int = 256

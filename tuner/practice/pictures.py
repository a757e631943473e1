"""The practice pictures: ten views of a little house that the practice model has never seen, each with its
caption.
"""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image

from tuner.practice.drawing import COLOURS, SUBJECT, Scene, draw

TRIGGER = "sks"
SEEN_BACKGROUNDS = ("green", "blue", "purple", "orange", "pink", "white", "gray", "teal")
NEW_BACKGROUNDS = tuple(name for name in COLOURS if name not in SEEN_BACKGROUNDS)
"""Red, yellow, brown, black: the subject was never shown on them."""


def caption(background: str) -> str:
    return f"a {TRIGGER} on a {background} background"


def practice_scene(background: str, rng: random.Random) -> Scene:
    """The subject with slight changes of size, place, tilt and light."""
    return Scene(
        SUBJECT,
        "red",
        background,
        size=rng.uniform(0.60, 0.68),
        x=rng.uniform(-0.04, 0.04),
        y=rng.uniform(-0.04, 0.04),
        tilt=rng.uniform(-0.03, 0.03),
        shading=rng.uniform(0.05, 0.2),
    )


def write_practice_pictures(folder: Path) -> list[Path]:
    """Ten PNG files and their .txt captions: every seen background once, two of them twice."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(42)
    written = []
    for number, background in enumerate((*SEEN_BACKGROUNDS, *SEEN_BACKGROUNDS[:2]), start=1):
        path = folder / f"house-{number:02}.png"
        draw(practice_scene(background, rng)).save(path)
        path.with_suffix(".txt").write_text(caption(background) + "\n", encoding="utf-8")
        written.append(path)
    return written


def drawn_subject(background: str, size: float, x: float, y: float) -> Image.Image:
    """The subject as the exam compares it: upright, without shading or shadow."""
    return draw(Scene(SUBJECT, "red", background, size=size, x=x, y=y, shadow=False))

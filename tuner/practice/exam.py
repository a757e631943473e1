"""Did the practice run learn its subject? Questions, marks, and a sheet to look at.

The score of one sample is its likeness to the held-out subject, in 0..1:

    1 - (squared error to the drawn subject) / (squared error of an empty background to the drawn subject)

with the subject drawn at the size and place where the ratio is best, and negative values counted as 0. A
perfect icon scores 1, an empty background 0, another object about 0 to 0.3; the practice pictures themselves
score about
0.9. The exam asks for 24 samples: four backgrounds of the practice pictures and four that the subject was
never shown on,
three sampling seeds each. It is passed when the mean over them rises by at least `PASS_GAIN` over the untuned
model's: an untrained or random LoRA gains nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tuner.practice.drawing import COLOURS
from tuner.practice.pictures import NEW_BACKGROUNDS, SEEN_BACKGROUNDS, caption, drawn_subject
from tuner.settings.request import SampleRequest

PASS_GAIN = 0.4
SEEDS = (1, 2, 3)
BACKGROUNDS = (*SEEN_BACKGROUNDS[:4], *NEW_BACKGROUNDS)
CONTROLS = ("a purple umbrella on a gray background", "a yellow car on a purple background")
"""Prompts without the trigger: what the base model draws here should survive the training."""

_SIZES = tuple(0.55 + 0.03 * k for k in range(6))
_PLACES = tuple(0.03 * k for k in range(-2, 3))
_CELL_PX = 112
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Grade:
    """Means over the 24 trigger samples; `gain` is what the training added."""

    score: float
    base: float

    @property
    def gain(self) -> float:
        return self.score - self.base

    @property
    def passed(self) -> bool:
        return self.gain >= PASS_GAIN


def questions() -> tuple[SampleRequest, ...]:
    """The samples to make, in order: three seeds of each background, then the controls."""
    asked = [SampleRequest(caption(ground), seed) for ground in BACKGROUNDS for seed in SEEDS]
    return (*asked, *(SampleRequest(prompt, SEEDS[0]) for prompt in CONTROLS))


def grade(base: Sequence[Image.Image], tuned: Sequence[Image.Image]) -> Grade:
    """Marks both answers to `questions()`; the controls do not count."""
    return Grade(score=_mean_likeness(tuned), base=_mean_likeness(base))


def likeness(picture: Image.Image, background: str) -> float:
    """How much `picture` shows the subject on `background`, in 0..1; the formula stands at the top of this
    file.
    """
    subject, cover = _drawn_subjects()
    ground = np.asarray(COLOURS[background], np.float32) / 255
    drawn = subject + (1 - cover) * ground
    pixels = np.asarray(picture.convert("RGB").resize((64, 64)), np.float32) / 255
    error = np.square(drawn - pixels).sum((1, 2, 3))
    empty = np.square(drawn - ground).sum((1, 2, 3))
    return float(np.clip(1 - (error / empty).min(), 0, 1))


def sheet(base: Sequence[Image.Image], tuned: Sequence[Image.Image]) -> Image.Image:
    """Base above, tuned below, first seed: a column for each background and each control prompt."""
    chosen = [*range(0, len(BACKGROUNDS) * len(SEEDS), len(SEEDS)), *range(-len(CONTROLS), 0)]
    asked = questions()
    left, top = 64, 60
    page = Image.new("RGB", (left + len(chosen) * (_CELL_PX + 6), top + 2 * (_CELL_PX + 6)), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(12)
    for row, (name, pictures) in enumerate((("before", base), ("after", tuned))):
        y = top + row * (_CELL_PX + 6)
        pen.text((8, y + _CELL_PX // 2 - 8), name, fill="black", font=font)
        for column, index in enumerate(chosen):
            big = pictures[index].resize((_CELL_PX, _CELL_PX), Image.Resampling.BICUBIC)
            page.paste(big, (left + column * (_CELL_PX + 6), y))
    for column, index in enumerate(chosen):
        words = asked[index].prompt.replace(" on a ", "\non a ").replace(" background", "\nbackground")
        pen.text((left + column * (_CELL_PX + 6), 8), words, fill="black", font=font)
    return page


def _mean_likeness(pictures: Sequence[Image.Image]) -> float:
    grounds = [ground for ground in BACKGROUNDS for _ in SEEDS]
    marks = [likeness(picture, ground) for picture, ground in zip(pictures, grounds, strict=False)]
    return sum(marks) / len(marks)


@lru_cache(maxsize=1)
def _drawn_subjects() -> tuple[Floats, Floats]:
    """The subject at every size and place, as colour times cover and cover, (N, 64, 64, 3) and (N, 64, 64,
    1).

    Cover comes from drawing on white and on black: where both agree the subject hides the background.
    """
    grid = [(size, x, y) for size in _SIZES for x in _PLACES for y in _PLACES]
    white, black = (
        np.stack([np.asarray(drawn_subject(name, *where), np.float32) / 255 for where in grid])
        for name in ("white", "black")
    )
    span = (np.asarray(COLOURS["white"], np.float32) - np.asarray(COLOURS["black"], np.float32)) / 255
    cover = 1 - ((white - black) / span).mean(-1, keepdims=True)
    cover = np.clip(cover, 0, 1)
    return black - (1 - cover) * np.asarray(COLOURS["black"], np.float32) / 255, cover

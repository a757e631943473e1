"""One sample at several strengths of the adapter, side by side, so that the best one can be chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tuner.training.drawing import scene
from tuner.training.exporting import Finished
from tuner.training.picture_files import keep
from tuner.training.previews import render

STRENGTHS = (0.4, 0.6, 0.8, 1.0, 1.2)
_TOP_PX, _GAP_PX, _LARGEST_PX = 28, 6, 512


def draw_strip(finished: Finished, sample: str | None = None) -> Path:
    """The sample `name`, or the run's first one, with nothing but the strength changed. -> the picture"""
    shown = scene(finished.settings, finished.folder, finished.step, finished.checkpoint.name, name=sample)
    requests = [shown.request(strength) for strength in STRENGTHS]
    pictures = list(render(finished.settings, requests, finished.checkpoint / finished.file))
    page = strip(pictures, [f"{strength:.1f}" for strength in STRENGTHS])
    return keep(page, finished.folder.exports, f"strengths-{finished.step:06}.png")


def strip(pictures: Sequence[Image.Image], titles: Sequence[str]) -> Image.Image:
    """In one row, each below its title; large ones are made smaller."""
    small = [one.copy() for one in pictures]
    for one in small:
        one.thumbnail((_LARGEST_PX, _LARGEST_PX))
    width, height = small[0].size
    page = Image.new("RGB", (len(small) * (width + _GAP_PX) - _GAP_PX, height + _TOP_PX), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(16)
    for number, (one, title) in enumerate(zip(small, titles, strict=True)):
        left = number * (width + _GAP_PX)
        pen.text((left + 4, 4), title, fill="black", font=font)
        page.paste(one, (left, _TOP_PX))
    return page

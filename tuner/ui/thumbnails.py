"""Small copies of pictures, with the box on them that is trained on."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile

from PIL import Image, ImageDraw, ImageOps

from tuner.ui.pictures import Shown

THUMBNAIL_PX = 512


def thumbnail(picture: Shown, folder: Path) -> Path:
    """A small copy with the crop box on it, made once for each content of a file and each box, and served
    instead of the picture itself.
    """
    box = picture.box
    path = folder / f"{picture.content}{''.join(f'-{edge:.4f}' for edge in box or ())}.webp"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with Image.open(picture.path) as opened:
            opened.draft("RGB", (THUMBNAIL_PX, THUMBNAIL_PX))
            small = ImageOps.exif_transpose(opened).convert("RGB")
        small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        if box:
            small = _boxed(small, box)
        with NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as beside:
            small.save(beside, "WEBP", quality=90)
        os.replace(beside.name, path)
    return path


def _boxed(small: Image.Image, box: tuple[float, float, float, float]) -> Image.Image:
    """What is not trained on is darkened."""
    left, top, right, bottom = (
        round(edge * length) for edge, length in zip(box, 2 * small.size, strict=True)
    )
    boxed = Image.eval(small, lambda value: value // 3)
    boxed.paste(small.crop((left, top, right, bottom)), (left, top))
    ImageDraw.Draw(boxed).rectangle((left, top, right - 1, bottom - 1), outline="white")
    return boxed

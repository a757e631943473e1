"""Preview pictures as files that carry their prompt and seed, in each format that browsers show."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tuner.export import place
from tuner.settings.request import SampleRequest

USER_COMMENT, UNICODE = 0x9286, b"UNICODE\0"
"""The EXIF field for free text, and the mark before a text in UTF-16."""

ENDINGS: Mapping[str, str] = {"png": ".png", "webp": ".webp", "jpeg": ".jpg"}
"""By `validation_image_format`; named as SimpleTuner names them."""


def save(image: Image.Image, path: Path, request: SampleRequest, quality: int) -> None:
    """In the format of its ending; written beside and renamed. `quality` is that of webp and jpeg."""
    kind, options = _FORMATS[path.suffix](request, quality)
    half = path.with_name(f".{path.name}.half")
    try:
        image.save(half, format=kind, **options)
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)


def keep(image: Image.Image, folder: Path, name: str) -> Path:
    """As PNG into a folder, which is made, under the name or the next one that is free there. -> the file"""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / place.free_name(name, folder)
    with place.whole(path) as half:
        image.save(half, "PNG")
    return path


def _png(request: SampleRequest, _: int) -> tuple[str, dict[str, Any]]:
    notes = PngInfo()
    notes.add_itxt("prompt_text", request.prompt)
    notes.add_text("seed", str(request.seed))
    return "PNG", {"pnginfo": notes}


def _webp(request: SampleRequest, quality: int) -> tuple[str, dict[str, Any]]:
    return "WEBP", {"quality": quality, "exif": _exif(request)}


def _jpeg(request: SampleRequest, quality: int) -> tuple[str, dict[str, Any]]:
    return "JPEG", {"quality": quality, "exif": _exif(request)}


def _exif(request: SampleRequest) -> bytes:
    """The note where other programs for pictures look for it: prompt, new line, seed."""
    exif = Image.Exif()
    text = f"{request.prompt}\nSeed: {request.seed}"
    exif.get_ifd(0x8769)[USER_COMMENT] = UNICODE + text.encode("utf-16-be")
    return exif.tobytes()


_FORMATS: Mapping[str, Callable[[SampleRequest, int], tuple[str, dict[str, Any]]]] = {
    ".png": _png,
    ".webp": _webp,
    ".jpg": _jpeg,
}

"""Small copies of pictures, with the box on them that is trained on; made when a browser asks for them."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import quote

from PIL import Image, ImageDraw, ImageOps
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

THUMBNAIL_PX = 512
AT_ONCE = 2
"""More would decode large pictures side by side and slow the page down."""
FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable"}
"""The address of a copy holds what it shows."""


@dataclass(frozen=True)
class Shown:
    """A picture of the gallery; one that is not `used` has no caption, or was left out by the user, which
    `is_chosen` says.
    """

    path: Path
    dataset: str
    content: str
    caption: str
    box: tuple[float, float, float, float] | None = None
    used: bool = True
    is_chosen: bool = False


class Thumbnails:
    """Serves copies of the pictures that the page has shown, and of no others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shown: dict[str, Shown] = {}
        self._making = threading.Semaphore(AT_ONCE)

    @property
    def route(self) -> Route:
        return Route("/thumbnails/{name}", self._answer)

    def address(self, picture: Shown) -> str:
        name = _name(picture)
        self._shown[name] = picture
        return f"/thumbnails/{quote(name)}"

    def _answer(self, request: Request) -> Response:
        """In a worker thread, since it is no coroutine."""
        picture = self._shown.get(request.path_params["name"])
        if picture is None or not picture.path.is_file():
            return Response(status_code=404)
        with self._making:
            return FileResponse(thumbnail(picture, self.folder), headers=FOR_EVER)


def thumbnail(picture: Shown, folder: Path) -> Path:
    """A small copy with the crop box on it, made once for each content of a file and each box."""
    path = folder / _name(picture)
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with Image.open(picture.path) as opened:
            opened.draft("RGB", (THUMBNAIL_PX, THUMBNAIL_PX))
            small = ImageOps.exif_transpose(opened).convert("RGB")
        small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        if picture.box:
            small = _boxed(small, picture.box)
        with NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as beside:
            small.save(beside, "WEBP", quality=90)
        os.replace(beside.name, path)
    return path


def _name(picture: Shown) -> str:
    return f"{picture.content}{''.join(f'-{edge:.4f}' for edge in picture.box or ())}.webp"


def _boxed(small: Image.Image, box: tuple[float, float, float, float]) -> Image.Image:
    """What is not trained on is darkened."""
    left, top, right, bottom = (
        round(edge * length) for edge, length in zip(box, 2 * small.size, strict=True)
    )
    boxed = Image.eval(small, lambda value: value // 3)
    boxed.paste(small.crop((left, top, right, bottom)), (left, top))
    ImageDraw.Draw(boxed).rectangle((left, top, right - 1, bottom - 1), outline="white")
    return boxed

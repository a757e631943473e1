"""The picture in the header is small, stands where tools look, and brings no notes along."""

from __future__ import annotations

import base64
import io
import json
import os
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tuner.export.cover import LONGEST, cover


def opened(encoded: str) -> tuple[bytes, Image.Image]:
    data = base64.b64decode(encoded)
    return data, Image.open(io.BytesIO(data))


def test_the_same_picture_in_both_places(tmp_path: Path) -> None:
    Image.new("RGB", (1024, 512), "red").save(tmp_path / "red.png")
    found = cover(tmp_path / "red.png")
    (encoded,) = json.loads(found["ssmd_cover_images"])
    assert found["modelspec.thumbnail"] == f"data:image/jpeg;base64,{encoded}"
    _, image = opened(encoded)
    assert image.size == (384, 192) and image.getpixel((9, 9))[0] > 250


def test_noise_is_made_smaller_until_it_fits(tmp_path: Path) -> None:
    Image.frombytes("RGB", (1024, 1024), os.urandom(3 << 20)).save(tmp_path / "noise.png")
    (encoded,) = json.loads(cover(tmp_path / "noise.png")["ssmd_cover_images"])
    assert len(encoded) <= LONGEST and opened(encoded)[1].width >= 128


def test_notes_of_the_picture_stay_behind(tmp_path: Path) -> None:
    notes = PngInfo()
    notes.add_text("prompt_text", "/home/anna")
    image = Image.new("RGBA", (64, 64), "blue")
    exif = Image.Exif()
    exif[315] = "anna"
    image.save(tmp_path / "blue.png", pnginfo=notes, exif=exif, icc_profile=b"anna's screen")
    (encoded,) = json.loads(cover(tmp_path / "blue.png")["ssmd_cover_images"])
    assert b"anna" not in opened(encoded)[0]

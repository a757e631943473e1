from __future__ import annotations

import base64
import io
import logging
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from tuner.dataset.decoding import FORMATS, PictureBroken, cut, decode, open_picture
from tuner.dataset.index import Picture, Placement
from tuner.dataset.keys import content_key

LOSSLESS = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100}, "JPEG": {"quality": 100, "subsampling": 0}}


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def noise(width: int = 60, height: int = 40) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8))


def flat(value: float, dtype: type) -> Image.Image:
    return Image.fromarray(np.full((4, 6), value, dtype))


HEIC = (  # 64 x 32 px, red with a blue corner at the top left; nothing here can write one
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAA"
    "AAAAACJpbG9jAAAAAERAAAEAAQAAAAABoQABAAAAAAAAAEkAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAA"
    "AA5waXRtAAAAAAABAAAA/WlwcnAAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNw"
    "AAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFz"
    "wIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAAEAAAAABAAAAIAAAAAEAAAAAAAAA"
    "Av///+AAAAACAAAAEHBpeGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAAFFtZGF0AAAARSgBrxOAeNWFdV//"
    "8MKiv/AC1f3oiUKlj7pGr/5ssufjsYEp6lq4oCZYASYTkdi1DbdSRAWPXAIv+DqS/sNEcI0LSRTY8A=="
)


def test_heic_is_opened() -> None:
    image = decode(base64.b64decode(HEIC))
    assert image.mode == "RGB" and image.size == (64, 32)
    assert np.abs(np.subtract(image.getpixel((8, 4)), (0, 0, 255))).max() < 9
    assert np.abs(np.subtract(image.getpixel((56, 28)), (255, 0, 0))).max() < 9
    with pytest.raises(PictureBroken, match="damaged or cut off"):
        decode(base64.b64decode(HEIC)[:-60])


@pytest.mark.parametrize("form", sorted(FORMATS.keys() - {"HEIF"}))
def test_every_format_is_opened(form: str) -> None:
    image = decode(encoded(Image.new("RGB", (60, 40), (200, 100, 50)), form, **LOSSLESS.get(form, {})))
    assert image.mode == "RGB" and image.size == (60, 40)
    assert np.abs(np.asarray(image, int) - (200, 100, 50)).max() <= 12


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("1", (6, 4), 1), (255, 255, 255)),
        (Image.new("L", (6, 4), 90), (90, 90, 90)),
        (Image.new("RGB", (6, 4), (1, 2, 3)).convert("P", palette=Image.Palette.ADAPTIVE), (1, 2, 3)),
        (Image.new("LA", (6, 4), (0, 0)), (255, 255, 255)),
        (Image.new("LA", (6, 4), (0, 51)), (204, 204, 204)),
        (Image.new("RGBA", (6, 4), (255, 0, 0, 0)), (255, 255, 255)),
        (Image.new("RGBA", (6, 4), (255, 0, 0, 51)), (255, 204, 204)),
        (flat(40000, np.uint16), (156, 156, 156)),
        (flat(65535, np.uint16), (255, 255, 255)),
    ],
)
def test_modes_of_a_png(image: Image.Image, expected: tuple[int, int, int]) -> None:
    assert decode(encoded(image)).getpixel((2, 2)) == expected


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("CMYK", (6, 4), (0, 255, 255, 0)), (255, 0, 0)),
        (flat(0.5, np.float32), (128, 128, 128)),
        (flat(40000, np.int32), (156, 156, 156)),
        (Image.new("RGBA", (6, 4), (0, 0, 255, 0)), (255, 255, 255)),
    ],
)
def test_modes_of_a_tiff(image: Image.Image, expected: tuple[int, int, int]) -> None:
    assert decode(encoded(image, "TIFF")).getpixel((2, 2)) == expected


def test_a_cmyk_jpeg() -> None:
    pixel = decode(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100)).getpixel(
        (8, 8)
    )
    assert np.abs(np.subtract(pixel, (255, 0, 0))).max() <= 4


@pytest.mark.parametrize("transparency", [0, bytes([0, 255])])
def test_a_transparent_palette_is_laid_on_white(transparency: int | bytes) -> None:
    image = Image.new("P", (6, 4), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((0, 0), 1)
    decoded = decode(encoded(image, transparency=transparency))
    assert decoded.getpixel((2, 2)) == (255, 255, 255) and decoded.getpixel((0, 0)) == (0, 255, 0)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize(
    ("orientation", "corner"),
    [(1, (0, 0)), (2, (1, 0)), (3, (1, 1)), (4, (0, 1)), (5, (0, 0)), (6, (1, 0)), (7, (1, 1)), (8, (0, 1))],
)
def test_exif_turns_the_picture(form: str, orientation: int, corner: tuple[int, int]) -> None:
    """The blue corner of a red landscape, stored top left, ends where a viewer shows it."""
    stored = Image.new("RGB", (64, 32), "red")
    stored.paste("blue", (0, 0, 32, 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode(encoded(stored, form, exif=exif))
    assert image.size == ((32, 64) if orientation >= 5 else (64, 32))
    where = (corner[0] * (image.width - 8) + 4, corner[1] * (image.height - 8) + 4)
    red, _, blue = image.getpixel(where)  # type: ignore[misc]
    assert blue > 200 > 50 > red


def test_the_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for form in ("GIF", "WEBP", "PNG"):
        data = encoded(frames[0], form, save_all=True, append_images=frames[1:])
        assert decode(data).getpixel((4, 4))[0] > 200, form  # type: ignore[index]


def swapped_profile() -> bytes:
    """A colour profile in which red and blue have changed places."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = data.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")
    return data.replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_the_embedded_profile_counts(mode: str) -> None:
    image = Image.new("RGB", (8, 8), (250, 10, 10)).convert(mode)
    red, _, blue = decode(encoded(image, icc_profile=swapped_profile())).getpixel((4, 4))  # type: ignore[misc]
    assert blue > 200 > 60 > red


def test_an_srgb_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert decode(encoded(noise(), icc_profile=profile)).tobytes() == noise().tobytes()


def test_a_broken_profile_is_passed_over_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert decode(encoded(noise(), icc_profile=b"nonsense" * 20)).tobytes() == noise().tobytes()
    assert "colour profile" in caplog.text


def bomb() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


PNG, JPEG = encoded(noise(300, 200)), encoded(noise(300, 200), "JPEG")
FLIPPED = PNG[:5000] + bytes([PNG[5000] ^ 0xFF]) + PNG[5001:]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"hello, I am no picture", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (PNG[:30], "not a picture"),
        (PNG[: len(PNG) // 2], "damaged or cut off"),
        (JPEG[: len(JPEG) // 2], "damaged or cut off"),
        (JPEG[:-2], "damaged or cut off"),
        (FLIPPED, "damaged or cut off"),
        (bomb(), "178 million pixels"),
        (encoded(flat(70000, np.int32), "TIFF"), "32 bits"),
        (encoded(flat(2.5, np.float32), "TIFF"), "floating-point"),
        (encoded(flat(np.nan, np.float32), "TIFF"), "floating-point"),
    ],
)
def test_what_cannot_be_used_is_said(data: bytes, words: str) -> None:
    with pytest.raises(PictureBroken, match=words):
        decode(data)


def test_one_resize_and_one_crop() -> None:
    left_red = Image.new("RGB", (200, 100), "blue")
    left_red.paste("red", (0, 0, 100, 100))
    image = cut(left_red, Placement((128, 64), (64, 64), (0, 64), ""))
    assert image.size == (64, 64) and image.getpixel((10, 10)) == (0, 0, 255)


def test_shrinking_is_antialiased() -> None:
    board = np.indices((512, 512)).sum(0) % 2 * 255
    small = cut(
        Image.fromarray(board.astype(np.uint8)).convert("RGB"), Placement((64, 64), (64, 64), (0, 0), "")
    )
    assert np.abs(np.asarray(small, int) - 127).max() < 12


def test_an_exact_picture_is_not_touched() -> None:
    assert cut(noise(), Placement((60, 40), (60, 40), (0, 0), "")).tobytes() == noise().tobytes()


def test_the_training_image_of_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(noise()))
    content = content_key(path.read_bytes())
    picture = Picture(path, "set", content, (60, 40), (60, 40), (16, 32), (8, 4), "0.5", ("a",))
    assert open_picture(picture).tobytes() == noise().crop((4, 8, 20, 40)).tobytes()
    with pytest.raises(ValueError, match="settle"):
        open_picture(replace(picture, crop_top_left=None))
    path.write_bytes(PNG)
    with pytest.raises(PictureBroken, match=r"a\.png' has changed"):
        open_picture(picture)
    path.unlink()
    with pytest.raises(PictureBroken, match=r"a\.png' can no longer be opened"):
        open_picture(picture)

"""Opening picture files: what they hold becomes upright 8-bit sRGB on white, or a sentence says why not."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pi_heif
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from tuner.dataset.index import Companion, Picture, Placement
from tuner.dataset.keys import content_key
from tuner.errors import Advice, TunerError

log = logging.getLogger(__name__)
pi_heif.register_heif_opener(thumbnails=False)

FORMATS: Mapping[str, tuple[str, ...]] = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "WEBP": (".webp",),
    "AVIF": (".avif", ".avifs"),
    "HEIF": (".heic", ".heif", ".hif"),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "JPEG2000": (".jp2", ".j2k", ".jpx"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "TGA": (".tga",),
    "QOI": (".qoi",),
}
"""What is opened, by Pillow's name. Not all that Pillow knows: EPS, for one, would start another program."""

EXTENSIONS = frozenset(extension for extensions in FORMATS.values() for extension in extensions)
UNOPENED: Mapping[str, str] = {
    **dict.fromkeys((".jxl",), "JPEG XL"),
    **dict.fromkeys((".psd", ".psb"), "Photoshop"),
    **dict.fromkeys((".xcf", ".kra", ".clip", ".svg", ".ai", ".eps"), "drawing program"),
    **dict.fromkeys((".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"), "raw camera"),
    **dict.fromkeys((".exr", ".hdr"), "high dynamic range"),
}
"""Pictures too, which are named instead of passed over. JPEG XL would come with a plugin under the GPL."""
MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)
"""Pillow's guard against decompression bombs, about 179 million; it warns from half of that on."""

ORIENTATION, UPRIGHT = 0x0112, 1
"""The note of a camera on how it was held."""

Colour = tuple[int, int, int]
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_GREY_MODES = ("1", "L", "LA")
_MODES_WITH_ALPHA = (*_GREY_MODES, "P", "PA", "RGB", "RGBA")
_SRGB = ImageCms.createProfile("sRGB")
_COLOUR_SPACES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}


class PictureBroken(TunerError):
    """The message is one sentence, which fits behind the file's name where it does not hold it."""

    exit_code = 2


def decode(data: bytes, ground: Colour = _WHITE) -> Image.Image:
    """The first frame of a picture file as an upright RGB image, what is transparent laid on `ground`;
    raises PictureBroken.
    """
    return _to_rgb(_opened(data), ground)


def inspected(data: bytes) -> tuple[Image.Image, bool]:
    """What `decode` would give, without the work on its colours, and whether a note in the file turned it;
    raises PictureBroken.
    """
    image, turned = _loaded(data)
    return (_eight_bit(image) if image.mode.startswith(("I", "F")) else image), turned


def open_picture(picture: Picture) -> Image.Image:
    """The pixels that are trained on: one resize and one crop, exactly `picture.target_size` large.

    Raises PictureBroken, with the file's name, where the file is no longer what was scanned.
    """
    return cut(decode(_read(picture)), picture)


class Opened(NamedTuple):
    """A picture with all that goes with it, each in its size of the training."""

    image: Image.Image
    references: tuple[Image.Image, ...]
    mask: Image.Image | None


def open_all(picture: Picture) -> Opened:
    """Reads, decodes, resizes and cuts everything of one picture; raises PictureBroken."""
    references = tuple(open_reference(picture, one) for one in picture.references)
    return Opened(open_picture(picture), references, open_mask(picture) if picture.mask else None)


def open_reference(picture: Picture, reference: Companion) -> Image.Image:
    """The pixels of a reference picture as it goes with `picture`; raises PictureBroken."""
    return cut(decode(_read(reference)), reference.place or picture)


def open_mask(picture: Picture) -> Image.Image:
    """The mask of a picture, RGB, resized and cut exactly as the picture is; white is trained on.

    What is transparent in it counts as black. Averaged by area, so that no edge swings over into what is
    black. Raises PictureBroken, and ValueError where the picture has no mask.
    """
    if picture.mask is None:
        raise ValueError(f"{picture.path} has no mask")
    return cut(decode(_read(picture.mask), _BLACK), picture, Image.Resampling.BOX)


def cut(
    image: Image.Image,
    place: Picture | Placement,
    resampling: Image.Resampling = Image.Resampling.LANCZOS,
) -> Image.Image:
    """Resizes, antialiased, then crops."""
    if place.crop_top_left is None:
        raise ValueError("the crop has not been drawn; see geometry.settle")
    if image.size != place.resize_size:
        image = image.resize(place.resize_size, resampling, reducing_gap=3.0)
    (top, left), (width, height) = place.crop_top_left, place.target_size
    return image.crop((left, top, left + width, top + height))


def _read(one: Picture | Companion) -> bytes:
    """Exactly what was scanned."""
    try:
        data = one.path.read_bytes()
    except OSError as error:
        raise PictureBroken(f"'{one.path}' can no longer be opened ({error.strerror}).") from error
    if content_key(data) != one.content:
        raise PictureBroken(
            f"'{one.path}' has changed since the run was prepared.", Advice("Press Start again.")
        )
    return data


def _opened(data: bytes) -> Image.Image:
    return _loaded(data)[0]


def _loaded(data: bytes) -> tuple[Image.Image, bool]:
    """Decoded to the last byte and turned upright, in the file's own mode; whether it had to be turned."""
    if not data:
        raise PictureBroken("The file is empty.")
    try:
        with warnings.catch_warnings():
            # Large pictures and odd tags are no news here; damage is an exception.
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=tuple(FORMATS))
            image.load()
            turned = image.getexif().get(ORIENTATION, UPRIGHT) != UPRIGHT
            ImageOps.exif_transpose(image, in_place=True)
            return image, turned
    except Image.DecompressionBombError as error:
        raise PictureBroken(
            f"It has more than {MOST_PIXELS // 10**6} million pixels; save a smaller copy."
        ) from error
    except UnidentifiedImageError as error:
        raise PictureBroken("It is not a picture, or of a kind that is not known here.") from error
    except Exception as error:  # on damaged files Pillow's decoders raise nearly anything
        raise PictureBroken(f"The file is damaged or cut off ({error}).") from error


def _to_rgb(image: Image.Image, ground: Colour) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not (image.has_transparency_data and image.mode in _MODES_WITH_ALPHA):
        return _in_srgb(_eight_bit(image), profile)
    clear = image.convert("RGBA")
    colour = _in_srgb(clear.convert("L" if image.mode in _GREY_MODES else "RGB"), profile)
    return Image.composite(colour, Image.new("RGB", colour.size, ground), clear.getchannel("A"))


def _eight_bit(image: Image.Image) -> Image.Image:
    """In mode L, RGB or CMYK, without alpha; of 16 bits the high byte is kept."""
    if image.mode.startswith("I"):
        return _from_integers(np.asarray(image))
    if image.mode == "F":
        return _from_floats(np.asarray(image))
    if image.mode in _GREY_MODES:
        return image.convert("L")
    if image.mode == "CMYK":
        return image
    return image.convert("RGB")


def _from_integers(values: NDArray[Any]) -> Image.Image:
    if values.min() < 0 or values.max() > 0xFFFF:
        raise PictureBroken("It has 32 bits a channel; save it with 8 or 16.")
    return Image.fromarray((values >> 8).astype(np.uint8))


def _from_floats(values: NDArray[Any]) -> Image.Image:
    if not (values.min() >= 0 and values.max() <= 1):
        raise PictureBroken("Its floating-point values lie outside 0 to 1; save it with 8 or 16 bits.")
    return Image.fromarray(np.round(values * 255).astype(np.uint8))


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB; by the embedded colour profile where there is one that fits the picture."""
    if not profile:
        return image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _COLOUR_SPACES.get(source.profile.xcolor_space.strip())
        if image.mode == "L" and mode == "RGB":
            image = image.convert("RGB")
        if mode != image.mode or "sRGB" in ImageCms.getProfileDescription(source):
            return image.convert("RGB")
        return ImageCms.buildTransform(source, _SRGB, image.mode, "RGB").apply(image)
    except (ImageCms.PyCMSError, OSError) as error:
        log.warning("A colour profile cannot be used, the colours are taken as sRGB (%s).", error)
        return image.convert("RGB")

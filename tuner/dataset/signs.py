"""What the doctor measures on a picture's pixels, once for each file and without a model."""

from __future__ import annotations

from dataclasses import dataclass

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

VERSION = 1
"""Raise it when another number would be found; remembered ones are then measured again."""
LOOK_PX = 1024
"""Larger pictures are looked at in this size: what is only soft beyond it does not harm the training."""
HASH_SIZE, NEARLY_PX = 16, 256
BLUR_WINDOW, BLUR_ROWS, EVERY = 11, 256, 8
"""Pixels; of all lines every eighth is enough to judge by."""
SAME_COLOUR, STRAIGHT = 12, 0.75
"""Levels of grey that still count as one colour; the share of a line that must differ behind a border."""

Shares = tuple[float, float, float, float]
"""(left, top, right, bottom), each as a share of the picture's width or height."""
Grey = NDArray[np.float32]


@dataclass(frozen=True)
class Signs:
    """`fingerprint`: 256 bits of a perceptual hash in hexadecimals, empty where all is one colour. `blur` is
    0 (crisp) to 1. `turned`: upright only by a note that the camera left in the file.
    """

    fingerprint: str = ""
    blur: float = 0.0
    borders: Shares = (0.0, 0.0, 0.0, 0.0)
    turned: bool = False


def signs_of(image: Image.Image, turned: bool) -> Signs:
    """Of an upright picture in whatever mode; what is transparent in it counts as white."""
    small = _small(image)
    grey = np.asarray(small, dtype=np.float32)
    return Signs(
        _fingerprint(small) if _shows_something(grey) else "", round(blur(grey), 3), borders(grey), turned
    )


def _fingerprint(small: Image.Image) -> str:
    """Brought near the hash's own size by an average first, which is many times quicker."""
    nearly = small.copy()
    nearly.thumbnail((NEARLY_PX, NEARLY_PX), Image.Resampling.BOX)
    return str(imagehash.phash(nearly, HASH_SIZE))


def _small(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    small = image.convert("L")
    small.thumbnail((LOOK_PX, LOOK_PX), Image.Resampling.BOX, reducing_gap=2.0)
    return small


def blur(grey: Grey) -> float:
    """How little of the change between neighbours is lost when the picture is blurred once more, in 0..1.

    The metric of Crete et al. 2007 ("The blur effect"): it is relative to the picture itself, so that flat
    drawings with sharp edges are sharp. 0 where nothing changes at all. The sharpest of some bands counts,
    so that a soft background is no fault.
    """
    bands = np.array_split(grey, max(1, round(grey.shape[0] / BLUR_ROWS)))
    return min((_band_blur(one) for one in bands if _shows_something(one)), default=0.0)


def _shows_something(grey: Grey) -> bool:
    return bool(np.ptp(grey) > 2 * SAME_COLOUR)


def _band_blur(grey: Grey) -> float:
    return max(_kept(grey[::EVERY]), _kept(grey.T[::EVERY]))


def _kept(grey: Grey) -> float:
    """Along the rows of (H, W)."""
    if grey.shape[1] <= BLUR_WINDOW:
        return 0.0
    sums = np.cumsum(grey, axis=1, dtype=np.float64)
    soft = (sums[:, BLUR_WINDOW:] - sums[:, :-BLUR_WINDOW]) / BLUR_WINDOW
    middle = BLUR_WINDOW // 2 + 1
    change = np.abs(np.diff(grey[:, middle : middle + soft.shape[1]], axis=1))
    kept = np.minimum(change, np.abs(np.diff(soft, axis=1))).sum()
    total = change.sum()
    return float(kept / total) if total else 0.0


def borders(grey: Grey) -> Shares:
    """Bars of one colour that end in a straight line; a white ground around a subject is none."""
    left, right, top, bottom = (_bar(one) for one in (grey.T, grey.T[::-1], grey, grey[::-1]))
    return left, top, right, bottom


def _bar(grey: Grey) -> float:
    """At the first rows of (H, W), at most half of them, as a share of H."""
    num_rows, grey = len(grey), np.ascontiguousarray(grey[: len(grey) // 2, ::EVERY])
    if not grey.size:
        return 0.0
    colour = np.median(grey[0])
    differs = (np.abs(grey - colour) > SAME_COLOUR).mean(axis=1)
    inside = np.flatnonzero(differs > 0.02)
    if not inside.size or inside[0] < 2:
        return 0.0
    end = int(inside[0])
    step = (np.abs(grey[end : end + 3] - grey[end - 2]) > SAME_COLOUR).mean(axis=1).max()
    return round(end / num_rows, 4) if step >= STRAIGHT else 0.0

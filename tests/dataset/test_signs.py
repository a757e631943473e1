from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from tuner.dataset import doctor
from tuner.dataset.signs import Signs, signs_of


def photograph(seed: int = 0, size: tuple[int, int] = (400, 300)) -> Image.Image:
    """Sharp shapes of all sizes in many colours."""
    dice = np.random.default_rng(seed)
    image = Image.new("RGB", size, "grey")
    for extent in (200, 120, 60, 30, 15, 8) * 8:
        left, top = (int(dice.integers(-extent, edge)) for edge in size)
        image.paste(tuple(int(c) for c in dice.integers(0, 255, 3)), (left, top, left + extent, top + extent))
    return image


def differ(one: Signs, other: Signs) -> int:
    return (int(one.fingerprint, 16) ^ int(other.fingerprint, 16)).bit_count()


@pytest.mark.parametrize(
    "copied",
    [
        lambda image: image.resize((800, 600)),
        lambda image: image.resize((200, 150), Image.Resampling.BOX),
        lambda image: ImageEnhance.Brightness(image).enhance(0.9),
        lambda image: image.quantize(64),
        lambda image: image.convert("L"),
    ],
)
def test_a_copy_has_nearly_the_same_fingerprint(copied: Callable[[Image.Image], Image.Image]) -> None:
    assert differ(signs_of(photograph(), False), signs_of(copied(photograph()), False)) <= doctor.ALIKE


def test_other_pictures_have_others() -> None:
    prints = [signs_of(photograph(seed), False) for seed in range(6)]
    assert min(differ(a, b) for a in prints for b in prints if a is not b) > 5 * doctor.ALIKE
    assert signs_of(Image.new("RGB", (64, 64), "red"), False).fingerprint == ""


def test_blur() -> None:
    sharp, soft = (
        signs_of(image, False).blur
        for image in (photograph(), photograph().filter(ImageFilter.GaussianBlur(3)))
    )
    assert sharp < 0.4 < doctor.BLURRED < soft <= 1
    assert signs_of(Image.new("L", (300, 300), 90), False).blur == 0
    assert signs_of(photograph().crop((0, 0, 5, 5)), False).blur == 0


def test_a_soft_background_is_no_fault() -> None:
    image = photograph(size=(400, 1024)).filter(ImageFilter.GaussianBlur(6))
    image.paste(photograph(3, (200, 200)), (100, 280))
    assert signs_of(image, False).blur < doctor.BLURRED


@pytest.mark.parametrize(
    ("box", "found"),
    [
        ((0, 30, 400, 270), (0.0, 0.1, 0.0, 0.1)),
        ((40, 0, 400, 300), (0.1, 0.0, 0.0, 0.0)),
        ((40, 30, 360, 270), (0.1, 0.1, 0.1, 0.1)),
        ((0, 0, 400, 300), (0.0, 0.0, 0.0, 0.0)),
    ],
)
def test_borders(box: tuple[int, int, int, int], found: tuple[float, ...]) -> None:
    framed = Image.new("RGB", (400, 300))
    framed.paste(Image.eval(photograph(1), lambda v: v // 2 + 100).crop(box), box)
    assert signs_of(framed, False).borders == found


def test_a_subject_on_a_plain_ground_has_no_border() -> None:
    image = Image.new("RGB", (400, 300), "white")
    image.paste(photograph(2, (200, 150)), (100, 75))
    assert signs_of(image, False).borders == (0, 0, 0, 0)


def test_a_smooth_gradient_has_no_border() -> None:
    gradient = Image.linear_gradient("L").resize((400, 600))
    assert signs_of(gradient, False).borders == signs_of(gradient.rotate(90, expand=True), False).borders
    assert signs_of(gradient, False).borders == (0, 0, 0, 0)


def test_what_is_transparent_is_white() -> None:
    clear = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
    clear.paste(photograph(2, (200, 150)), (100, 75))
    white = Image.new("RGB", (400, 300), "white")
    white.paste(photograph(2, (200, 150)), (100, 75))
    assert signs_of(clear, True) == Signs(**{**vars(signs_of(white, False)), "turned": True})

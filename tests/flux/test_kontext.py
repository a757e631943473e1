"""Kontext's sizes, against diffusers' own."""

from __future__ import annotations

import pytest
from diffusers.pipelines.flux.pipeline_flux_kontext import PREFERRED_KONTEXT_RESOLUTIONS

from tuner.flux.kontext import REFERENCE_SIZES, Size, in_shape_of, reference_size


def test_the_sizes_are_those_of_diffusers() -> None:
    assert list(REFERENCE_SIZES) == PREFERRED_KONTEXT_RESOLUTIONS


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((640, 640), (1024, 1024)),
        ((1920, 1080), (1392, 752)),
        ((100, 900), (672, 1568)),
        ((3, 4), (880, 1184)),
    ],
)
def test_a_reference_is_read_at_the_nearest_shape(size: Size, expected: Size) -> None:
    assert reference_size(size) == expected


@pytest.mark.parametrize(
    ("size", "area", "expected"),
    [
        ((500, 500), 512 * 512, (512, 512)),
        ((2000, 1000), 512 * 512, (720, 368)),
        ((9, 1), 64 * 64, (192, 16)),
    ],
)
def test_a_picture_keeps_the_shape_at_the_area(size: Size, area: int, expected: Size) -> None:
    assert in_shape_of(size, area) == expected

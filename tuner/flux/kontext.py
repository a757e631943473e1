"""Kontext's sizes: those it was trained to read references at, and that of a picture in the shape of one."""

from __future__ import annotations

from math import sqrt

Size = tuple[int, int]
"""(width, height) in pixels."""

TOKEN_PX = 16
REFERENCE_SIZES: tuple[Size, ...] = (
    (672, 1568),
    (688, 1504),
    (720, 1456),
    (752, 1392),
    (800, 1328),
    (832, 1248),
    (880, 1184),
    (944, 1104),
    (1024, 1024),
    (1104, 944),
    (1184, 880),
    (1248, 832),
    (1328, 800),
    (1392, 752),
    (1456, 720),
    (1504, 688),
    (1568, 672),
)
"""As in black-forest-labs/flux and diffusers' FluxKontextPipeline."""


def reference_size(size: Size) -> Size:
    """The one with the nearest shape."""
    aspect = size[0] / size[1]
    return min(REFERENCE_SIZES, key=lambda one: abs(aspect - one[0] / one[1]))


def in_shape_of(size: Size, area: int) -> Size:
    """About `area` pixels in the shape of `size`, in whole tokens."""
    aspect = size[0] / size[1]
    width, height = sqrt(area * aspect), sqrt(area / aspect)
    return _whole_tokens(width), _whole_tokens(height)


def _whole_tokens(edge: float) -> int:
    return max(1, round(edge / TOKEN_PX)) * TOKEN_PX

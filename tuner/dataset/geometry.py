"""Where a picture ends up: whether it is used, to what size it is resized, and which box of it is trained on.

Pure functions of sizes, equal to SimpleTuner to the pixel except where it goes wrong: square edges are always
multiples of the alignment, nothing is squeezed, limits look at the file itself, and with `crop` off the
little that sticks out beyond the alignment is cut from the middle.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

from tuner.dataset.index import DatasetEntry, DatasetIndex, Picture, Placement, Size

SMALLEST_EDGE_PX = 16
"""One token of FLUX (VAE 8 x patch 2); a picture below that would be enlarged from nothing."""
LONGEST_ASPECT = 16.0
"""A longer strip has no sensible size: 3000 x 10 at 256 would be trained as 4416 x 64."""
_NAMED_AREAS = ((0.25, 512), (0.5, 768), (1.0, 1024), (2.0, 1536), (4.0, 2048))
"""Megapixels that stand for a usual square edge; values less than 0.05 away mean the same."""


@dataclass(frozen=True)
class Rules:
    """The geometry of one dataset. All sizes have the unit of `resolution_type`; 0 means no limit.

    `crop_aspects` are (width / height, weight) pairs for the crop aspects `closest` and `random`.
    """

    resolution: float
    resolution_type: str = "pixel_area"
    crop: bool = False
    crop_aspect: str = "square"
    crop_aspects: tuple[tuple[float, float], ...] = ()
    crop_style: str = "random"
    minimum_size: float = 0
    maximum_size: float = 0
    downsample_size: float = 0
    minimum_aspect: float = 0
    maximum_aspect: float = 0
    maximum_upscale: float | None = None
    alignment: int = 64
    rounding: int = 2


def place(size: Size, rules: Rules, chance: float = 0.0) -> Placement:
    """Sizes and crop of a picture; `chance` in [0, 1) picks the aspect where `crop_aspect` is random."""
    aspect = _wanted_aspect(size, rules, chance)
    resize, target = _sizes(size, aspect, rules.resolution, rules)
    if _aspect(target, rules) == 1.0:
        edge = _square_edge(rules)
        target = (edge, edge)
        if min(resize) < edge:
            resize = _covering(size, target)
    if rules.crop and rules.downsample_size and _above_maximum(size, rules):
        resize = _downsampled(size, target, rules)
    return Placement(resize, target, _offset(resize, target, rules), str(_aspect(target, rules)))


def excluded(size: Size, rules: Rules, chance: float = 0.0) -> str | None:
    """Why a picture of `size` is left out, as one sentence; None where it is used. `chance` as in `place`."""
    width, height = size
    if min(size) < SMALLEST_EDGE_PX:
        return f"{width} x {height} px is too small; no edge may be under {SMALLEST_EDGE_PX} px."
    if max(size) > LONGEST_ASPECT * min(size):
        return (
            f"{width} x {height} px is too long and narrow; at most {LONGEST_ASPECT:g}:1 can be trained on."
        )
    if _below_minimum(size, rules):
        least = _in_words(rules.minimum_size, rules)
        return f"{width} x {height} px is smaller than minimum_image_size ({least}) allows."
    aspect = _aspect(size, rules)
    if aspect < rules.minimum_aspect:
        return f"Its aspect {aspect:g} is below minimum_aspect_ratio {rules.minimum_aspect:g}."
    if rules.maximum_aspect and aspect > rules.maximum_aspect:
        return f"Its aspect {aspect:g} is above maximum_aspect_ratio {rules.maximum_aspect:g}."
    factor = place(size, rules, chance).resize_size[0] / width
    if rules.maximum_upscale is not None and factor > 1 + rules.maximum_upscale:
        return f"It would be enlarged {factor:.2f} times; max_upscale_threshold is {rules.maximum_upscale:g}."
    return None


def for_references(rules: Rules) -> Rules:
    """Of reference pictures that need not have the shape of theirs: the same size, never left out for their
    own, and cut from the middle where a crop would be drawn.
    """
    style = "center" if rules.crop_style == "random" else rules.crop_style
    return replace(
        rules, crop_style=style, minimum_size=0, minimum_aspect=0, maximum_aspect=0, maximum_upscale=None
    )


def same_shape(one: Size, other: Size) -> bool:
    """Whether one is a smaller or larger copy of the other, to a pixel."""
    (width, height), (other_width, other_height) = sorted((one, other))
    return abs(other_width * height - other_height * width) <= max(other_width, other_height)


def settle(index: DatasetIndex, seed: int) -> DatasetIndex:
    """The same index with every random crop drawn, once and for the whole run."""

    def settled(entries: Iterable[DatasetEntry]) -> tuple[DatasetEntry, ...]:
        return tuple(
            replace(entry, pictures=tuple(_settled(picture, seed) for picture in entry.pictures))
            for entry in entries
        )

    return replace(index, datasets=settled(index.datasets), evaluation=settled(index.evaluation))


def _settled(picture: Picture, seed: int) -> Picture:
    if picture.crop_top_left is not None:
        return picture
    # Seeded by the picture itself: one more file in the folder moves no other crop, so latents stay valid.
    random = Random(f"{seed} {picture.dataset} {picture.content}")
    (width, height), (target_width, target_height) = picture.resize_size, picture.target_size
    offset = random.randint(0, height - target_height), random.randint(0, width - target_width)
    return replace(picture, crop_top_left=offset)


def _snap(edge: float, alignment: int) -> int:
    """To the nearest multiple, halves to the even one, never below one."""
    return max(round(edge / alignment), 1) * alignment


def _aspect(size: Size, rules: Rules) -> float:
    return round(size[0] / size[1], rules.rounding)


def _megapixels(value: float, rules: Rules) -> float:
    return value * value / 1e6 if rules.resolution_type == "pixel_area" else value


def _square_edge(rules: Rules) -> int:
    if rules.resolution_type == "pixel":
        return _snap(rules.resolution, rules.alignment)
    megapixels = _megapixels(rules.resolution, rules)
    for area, edge in _NAMED_AREAS:
        if abs(megapixels - area) < 0.05:
            return edge
    return _snap(math.sqrt(megapixels * 1e6), rules.alignment)


def _wanted_aspect(size: Size, rules: Rules, chance: float) -> float:
    own = _aspect(size, rules)
    if not rules.crop or rules.crop_aspect == "preserve":
        return own
    if rules.crop_aspect == "square":
        return 1.0
    if rules.crop_aspect == "closest":
        return min((aspect for aspect, _ in rules.crop_aspects), key=lambda aspect: abs(aspect - own))
    left = chance * sum(weight for _, weight in rules.crop_aspects)
    for aspect, weight in rules.crop_aspects:
        left -= weight
        if left < 0:
            return aspect
    return rules.crop_aspects[-1][0]


def _sizes(size: Size, aspect: float, resolution: float, rules: Rules) -> tuple[Size, Size]:
    """(resize size, target size); the first has the file's own shape and covers the second."""
    if rules.resolution_type == "pixel":
        return _sizes_by_edge(size, aspect, resolution, rules.alignment)
    return _sizes_by_area(size, aspect, _megapixels(resolution, rules), rules.alignment)


def _sizes_by_area(size: Size, aspect: float, megapixels: float, alignment: int) -> tuple[Size, Size]:
    edge = _snap(math.trunc(math.sqrt(megapixels * 1e6)), alignment)
    raw = size[0] / size[1]
    if aspect == 1.0 and raw == 1.0:
        return (edge, edge), (edge, edge)
    target = _snap(edge * math.sqrt(aspect), alignment), _snap(edge / math.sqrt(aspect), alignment)
    if target[0] < target[1]:
        width, height = target[0], math.trunc(target[0] / raw)
    else:
        width, height = math.trunc(target[1] * raw), target[1]
    if (short := target[0] - width) > 0:
        width, height = width + short, height + math.trunc(short / raw)
    elif (short := target[1] - height) > 0:
        width, height = width + math.trunc(short * raw), height + short
    return (width, height), target


def _sizes_by_edge(size: Size, aspect: float, edge: float, alignment: int) -> tuple[Size, Size]:
    raw = size[0] / size[1]
    edge = math.trunc(edge)
    wanted = (edge, math.trunc(edge / aspect)) if raw < 1 else (math.trunc(edge * aspect), edge)
    target = _snap(wanted[0], alignment), _snap(wanted[1], alignment)
    if raw < 1:
        height, width = _long_and_short(wanted[0], target[0], target[1], 1 / raw)
    else:
        width, height = _long_and_short(wanted[1], target[1], target[0], raw)
    return (width, height), target


def _long_and_short(wanted: int, target_short: int, target_long: int, ratio: float) -> Size:
    short = max(target_short, wanted)
    long = math.trunc(short * ratio)
    return (long, short) if long >= target_long else (target_long, math.trunc(target_long / ratio))


def _covering(size: Size, target: Size) -> Size:
    """The file's shape, just large enough for the target."""
    (width, height), (target_width, target_height) = size, target
    if width * target_height < target_width * height:
        return target_width, target_width * height // width
    return target_height * width // height, target_height


def _downsampled(size: Size, target: Size, rules: Rules) -> Size:
    resize, _ = _sizes(size, _aspect(size, rules), rules.downsample_size, rules)
    return resize if resize[0] >= target[0] and resize[1] >= target[1] else _covering(size, target)


def _offset(resize: Size, target: Size, rules: Rules) -> tuple[int, int] | None:
    over_width, over_height = resize[0] - target[0], resize[1] - target[1]
    if rules.crop_style == "corner":
        return 0, 0
    if rules.crop and rules.crop_style == "random" and (over_width or over_height):
        return None
    return over_height // 2, over_width // 2


def _above_maximum(size: Size, rules: Rules) -> bool:
    if not rules.maximum_size:
        return False
    if rules.resolution_type == "pixel":
        return min(size) > rules.maximum_size
    return size[0] * size[1] > _area(rules.maximum_size, rules)


def _below_minimum(size: Size, rules: Rules) -> bool:
    if rules.resolution_type == "pixel":
        return min(size) < rules.minimum_size
    least = _area(rules.minimum_size, rules)
    square = rules.crop and rules.crop_aspect == "square"
    return size[0] * size[1] < least or (square and min(size) < math.trunc(math.sqrt(least)))


def _area(value: float, rules: Rules) -> float:
    """In pixels. Not by way of megapixels: 1002 * 1002 / 1e6 * 1e6 is more than 1002 * 1002."""
    return value * value if rules.resolution_type == "pixel_area" else value * 1e6


def _in_words(value: float, rules: Rules) -> str:
    unit = {"pixel": f"{value:g} px on the shorter edge", "pixel_area": f"{value:g} x {value:g} px in area"}
    return unit.get(rules.resolution_type, f"{value:g} megapixels")

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.dataset.geometry import Rules, excluded, place, settle
from tuner.dataset.index import DatasetEntry, DatasetIndex, Picture, Placement

PA1024, PA768, PA512 = Rules(1024), Rules(768), Rules(512)
CLOSEST = replace(
    PA1024,
    crop=True,
    crop_aspect="closest",
    crop_aspects=((1.0, 1), (1.5, 1), (0.67, 1)),
    crop_style="center",
)
PX = Rules(1024, "pixel", crop_style="center")
AREA = Rules(1.0, "area", crop_style="center")
SQUARE = replace(PA1024, crop=True, crop_style="center")
SHRUNK = Rules(512, crop=True, crop_style="center", maximum_size=1024, downsample_size=768)

# (file, rules, resize size, target size, bucket, offset where the reference fixes it); no sizes: left out.
EXAMPLES = {
    1: ((1600, 900), replace(PA1024, minimum_size=1024), (1365, 768), (1344, 768), "1.75", None),
    2: ((900, 1600), replace(PA1024, minimum_size=1024), (768, 1365), (768, 1344), "0.57", None),
    3: ((5184, 3456), PA1024, (1280, 853), (1280, 832), "1.54", None),
    4: ((1440, 1080), PA1024, (1194, 896), (1152, 896), "1.29", None),
    5: ((1125, 2436), PA1024, (709, 1536), (704, 1536), "0.46", None),
    6: ((1200, 1200), PA1024, (1024, 1024), (1024, 1024), "1.0", (0, 0)),
    7: ((1100, 950), replace(PA1024, minimum_size=1024)),
    8: ((1100, 954), replace(PA1024, minimum_size=1024), (1106, 960), (1088, 960), "1.13", None),
    9: ((2100, 500), replace(PA1024, minimum_size=1024), (2150, 512), (2112, 512), "4.12", None),
    10: ((1050, 1000), PA1024, (1075, 1024), (1024, 1024), "1.0", None),
    11: ((1600, 900), PA512, (704, 396), (704, 384), "1.83", None),
    12: ((720, 1280), PA512, (396, 704), (384, 704), "0.55", None),
    13: ((480, 480), replace(PA512, minimum_size=512)),
    14: ((5184, 3456), PA768, (960, 640), (960, 640), "1.5", None),
    15: ((1600, 900), PA768, (1024, 576), (1024, 576), "1.78", None),
    16: ((1600, 900), SQUARE, (1820, 1024), (1024, 1024), "1.0", (0, 398)),
    17: ((900, 1600), replace(SQUARE, crop_style="corner"), (1024, 1820), (1024, 1024), "1.0", (0, 0)),
    18: ((1600, 900), replace(SQUARE, minimum_size=1024)),
    19: ((1600, 1024), replace(SQUARE, minimum_size=1024), (1600, 1024), (1024, 1024), "1.0", (0, 288)),
    20: ((2000, 1400), replace(SQUARE, crop_aspect="preserve"), (1216, 851), (1216, 832), "1.46", (9, 0)),
    21: ((2000, 1400), CLOSEST, (1280, 896), (1280, 832), "1.54", (32, 0)),
    22: ((1400, 2000), CLOSEST, (896, 1280), (832, 1280), "0.65", (0, 32)),
    23: ((3000, 3000), SHRUNK, (768, 768), (512, 512), "1.0", (128, 128)),
    24: ((1600, 900), PX, (1820, 1024), (1792, 1024), "1.75", (0, 14)),
    25: ((900, 1600), replace(PX, resolution=512), (512, 910), (512, 896), "0.57", (7, 0)),
    26: ((1440, 1080), replace(PX, resolution=768), (1024, 768), (1024, 768), "1.33", (0, 0)),
    27: ((1600, 900), replace(PX, resolution=768, crop=True), (1365, 768), (768, 768), "1.0", (0, 298)),
    28: ((1600, 767), replace(PX, resolution=768, minimum_size=768)),
    29: ((1600, 1200), replace(PX, resolution=480), (682, 512), (640, 512), "1.25", (0, 21)),
    30: ((2000, 1400), AREA, (1216, 851), (1216, 832), "1.46", (9, 0)),
    31: ((2000, 1400), replace(AREA, resolution=0.5), (832, 583), (832, 576), "1.44", (3, 0)),
    32: ((1700, 1700), replace(AREA, resolution=0.5), (768, 768), (768, 768), "1.0", (0, 0)),
    33: ((1700, 1700), replace(AREA, resolution=0.6), (768, 768), (768, 768), "1.0", (0, 0)),
    34: ((1000, 1048), replace(AREA, minimum_size=1.05)),
    35: (
        (1000, 1900),
        replace(PA1024, minimum_aspect=0.5, crop_style="center"),
        (768, 1459),
        (768, 1408),
        "0.55",
        (25, 0),
    ),
    # The reference leaves 36 out, because 2:1 lands on 2.09; here the file's own aspect counts.
    36: ((2000, 1000), replace(PA1024, maximum_aspect=2.0), (1472, 736), (1472, 704), "2.09", None),
    37: (
        (1600, 900),
        replace(PA1024, alignment=16, crop_style="center"),
        (1365, 768),
        (1360, 768),
        "1.77",
        (0, 2),
    ),
    38: (
        (1600, 900),
        replace(PA1024, alignment=32, crop_style="center"),
        (1376, 774),
        (1376, 768),
        "1.79",
        (3, 0),
    ),
}


@pytest.mark.parametrize("number", EXAMPLES)
def test_worked_example(number: int) -> None:
    size, rules, *expected = EXAMPLES[number]
    assert (excluded(size, rules) is None) == bool(expected)
    if not expected:
        return
    resize, target, bucket, offset = expected
    placed = place(size, rules)
    assert (placed.resize_size, placed.target_size, placed.aspect_bucket) == (resize, target, bucket)
    if offset is not None:
        assert placed.crop_top_left == offset


def test_without_crop_the_overhang_is_cut_from_the_middle() -> None:
    assert place((1600, 900), PA1024).crop_top_left == (0, 10)
    assert place((1600, 900), replace(PA1024, crop_style="corner")).crop_top_left == (0, 0)


def test_a_random_crop_is_left_open_only_where_there_is_something_to_cut() -> None:
    random = replace(SQUARE, crop_style="random")
    assert place((1600, 900), random).crop_top_left is None
    assert place((1600, 1600), random).crop_top_left == (0, 0)


@pytest.mark.parametrize("alignment", [16, 32, 64])
@pytest.mark.parametrize("unit", ["pixel", "pixel_area"])
def test_small_pictures_at_64(alignment: int, unit: str) -> None:
    rules = Rules(64, unit, alignment=alignment)
    assert place((64, 64), rules) == Placement((64, 64), (64, 64), (0, 0), "1.0")


def test_a_square_edge_in_pixels_is_a_multiple_of_the_alignment() -> None:
    assert place((3000, 2000), Rules(1000, "pixel", crop=True)).target_size == (1024, 1024)


def test_the_maximum_is_compared_with_the_picture() -> None:
    rules = replace(SHRUNK, maximum_size=768, downsample_size=640)
    assert place((600, 600), rules).resize_size == (512, 512)
    assert place((900, 900), rules) == Placement((640, 640), (512, 512), (64, 64), "1.0")
    assert place((900, 900), replace(rules, crop=False)).resize_size == (512, 512)
    assert place((900, 900), replace(rules, resolution=700)).resize_size == (768, 768), (
        "never below the target"
    )


def test_a_portrait_is_not_squeezed_into_the_named_square() -> None:
    """0.5 megapixels means 768 for squares and 704 for the rest; the resize must keep the shape."""
    placed = place((900, 1600), Rules(0.5, "area", crop=True, crop_style="center"))
    assert placed == Placement((768, 1365), (768, 768), (298, 0), "1.0")
    assert place((1600, 900), Rules(0.5, "area", crop=True)).resize_size == (1365, 768)


def test_crop_aspects_are_drawn_by_weight() -> None:
    rules = replace(CLOSEST, crop_aspect="random", crop_aspects=((1.0, 0.25), (2.0, 0.75)))
    buckets = [place((1000, 1000), rules, chance).aspect_bucket for chance in (0.0, 0.24, 0.26, 0.99)]
    assert buckets == ["1.0", "1.0", "2.09", "2.09"]
    assert place((1000, 1000), replace(rules, crop_aspects=((1.0, 0), (2.0, 0)))).aspect_bucket == "2.09"


@pytest.mark.parametrize(
    ("size", "rules", "words"),
    [
        ((1, 1), PA1024, "too small"),
        ((3000, 10), PA1024, "too small"),
        ((30000, 100), PA1024, "long and narrow"),
        ((1100, 950), replace(PA1024, minimum_size=1024), "1024 x 1024 px in area"),
        ((1600, 767), replace(PX, minimum_size=768), "768 px on the shorter edge"),
        ((1000, 1048), replace(AREA, minimum_size=1.05), "1.05 megapixels"),
        ((1000, 2001), replace(PA1024, minimum_aspect=0.51), "minimum_aspect_ratio 0.51"),
        ((3100, 1000), replace(PA1024, maximum_aspect=3.0), "maximum_aspect_ratio 3"),
        ((400, 400), replace(PA1024, maximum_upscale=1.5), "2.56 times"),
    ],
)
def test_reasons_name_the_limit(size: tuple[int, int], rules: Rules, words: str) -> None:
    assert words in str(excluded(size, rules))


@pytest.mark.parametrize(
    ("size", "rules"),
    [
        ((1002, 1002), replace(PA1024, minimum_size=1002)),
        ((3000, 1000), replace(PA1024, maximum_aspect=3.0)),
        ((1000, 2000), replace(PA1024, minimum_aspect=0.5)),
        ((2500, 2500), replace(PA1024, minimum_size=2300)),
        ((400, 400), replace(PA1024, maximum_upscale=1.6)),
    ],
)
def test_at_the_limit_a_picture_is_used(size: tuple[int, int], rules: Rules) -> None:
    assert excluded(size, rules) is None


anywhere = settings(deadline=None, derandomize=True)  # a shared machine stalls now and then
edges = st.integers(16, 6000)
sizes = st.tuples(edges, edges).filter(lambda size: max(size) <= 16 * min(size))
units = st.one_of(
    st.tuples(st.just("pixel"), st.integers(64, 2048)),
    st.tuples(st.just("pixel_area"), st.integers(64, 2048)),
    st.tuples(st.just("area"), st.floats(0.05, 4.0)),
)


@st.composite
def all_rules(draw: st.DrawFn) -> Rules:
    unit, resolution = draw(units)
    return Rules(
        resolution,
        unit,
        crop=draw(st.booleans()),
        crop_aspect=draw(st.sampled_from(["square", "preserve", "closest", "random"])),
        crop_aspects=((1.0, 1), (1.5, 1), (0.5, 2)),
        crop_style=draw(st.sampled_from(["center", "centre", "corner", "random"])),
        maximum_size=draw(st.sampled_from([0, resolution])),
        downsample_size=resolution * draw(st.sampled_from([0.5, 1.0, 1.25])),
        alignment=draw(st.sampled_from([16, 32, 64])),
    )


@anywhere
@given(sizes, all_rules(), st.floats(0, 0.999))
def test_the_crop_lies_inside_and_is_aligned(size: tuple[int, int], rules: Rules, chance: float) -> None:
    placed = place(size, rules, chance)
    (width, height), target = placed.resize_size, placed.target_size
    assert all(edge >= rules.alignment and edge % rules.alignment == 0 for edge in target)
    top, left = placed.crop_top_left or (0, 0)
    assert top >= 0 and left >= 0
    assert top + target[1] <= height and left + target[0] <= width


@anywhere
@given(sizes, all_rules())
def test_the_resize_keeps_the_shape_of_the_file(size: tuple[int, int], rules: Rules) -> None:
    """Each edge is right to within two pixels, measured from the other edge."""
    width, height = place(size, rules).resize_size
    ratio = size[0] / size[1]
    assert abs(width - height * ratio) <= 2 * max(ratio, 1) or abs(height - width / ratio) <= 2 * max(
        1 / ratio, 1
    )


@anywhere
@given(sizes, all_rules())
def test_without_a_crop_each_edge_is_within_one_step_of_the_exact_one(
    size: tuple[int, int], rules: Rules
) -> None:
    rules = replace(rules, crop=False)
    target = place(size, rules).target_size
    aspect, wanted = round(size[0] / size[1], 2), rules.resolution
    if rules.resolution_type == "pixel":
        exact = (wanted, wanted / aspect) if size[0] < size[1] else (wanted * aspect, wanted)
    else:
        edge = wanted if rules.resolution_type == "pixel_area" else math.sqrt(wanted * 1e6)
        exact = (edge * math.sqrt(aspect), edge / math.sqrt(aspect))
    if target[0] == target[1]:
        return  # squares have named sizes
    # In area units the square's edge is snapped first, and a long edge multiplies what that changed.
    step = rules.alignment * max(1, math.sqrt(aspect), math.sqrt(1 / aspect))
    assert all(abs(a - b) <= step for a, b in zip(target, exact, strict=True))


@anywhere
@given(sizes, all_rules())
def test_without_a_crop_the_aspect_is_right_to_half_a_step_of_each_edge(
    size: tuple[int, int], rules: Rules
) -> None:
    placed = place(size, replace(rules, crop=False))
    (width, height), step = placed.target_size, rules.alignment
    aspect = round(size[0] / size[1], 2)
    if min(width, height) == step or width == height:
        return  # no edge is shorter than a step; squares have named sizes
    assert abs(width - height * aspect) <= step / 2 * (1 + aspect) + max(1, aspect)


@anywhere
@given(sizes, all_rules().filter(lambda rules: rules.resolution_type != "pixel"))
def test_without_a_crop_the_area_is_right_to_a_step_of_each_edge(size: tuple[int, int], rules: Rules) -> None:
    width, height = place(size, replace(rules, crop=False)).target_size
    wanted = rules.resolution**2 if rules.resolution_type == "pixel_area" else rules.resolution * 1e6
    if width != height:
        smaller, larger = (
            (width + step) * (height + step) for step in (-rules.alignment - 1, rules.alignment + 1)
        )
        assert smaller <= wanted <= larger


def _picture(content: str, offset: tuple[int, int] | None) -> Picture:
    return Picture(
        Path("a.png"), "set", content, (200, 100), (128, 64), (64, 64), offset, "1.0", ("a caption",)
    )


def test_settling_draws_random_crops_once_and_by_content() -> None:
    pictures = tuple(_picture(f"content {n}", None) for n in range(50))
    index = DatasetIndex((DatasetEntry("set", pictures, 0, 1.0, 1),))
    drawn = [picture.crop_top_left for picture in settle(index, 7).pictures]
    assert drawn == [picture.crop_top_left for picture in settle(settle(index, 7), 8).pictures]
    assert all(offset is not None and offset[0] == 0 and 0 <= offset[1] <= 64 for offset in drawn)
    assert len(set(drawn)) > 20
    assert drawn != [picture.crop_top_left for picture in settle(index, 8).pictures]
    fewer = DatasetIndex((DatasetEntry("set", pictures[1:], 0, 1.0, 1),))
    assert [picture.crop_top_left for picture in settle(fewer, 7).pictures] == drawn[1:]


def test_settling_leaves_fixed_crops_alone() -> None:
    index = DatasetIndex((DatasetEntry("set", (_picture("x", (0, 5)),), 0, 1.0, 1),))
    assert settle(index, 7) == index

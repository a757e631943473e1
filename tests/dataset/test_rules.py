from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.dataset.made import dataset, settings
from tuner.dataset import geometry
from tuner.dataset.captions import CaptionRules
from tuner.dataset.rules import Rules, rules_of
from tuner.errors import SettingsInvalid


def rules(common: dict[str, Any] | None = None, **values: Any) -> Rules:
    asked = settings(dataset(Path("set"), **values), **(common or {}))
    return rules_of(asked.active_datasets[0], asked)


def test_what_a_dataset_does_not_say_holds_for_all() -> None:
    common = {"minimum_image_size": 32, "aspect_bucket_alignment": 16, "aspect_bucket_rounding": 3}
    assert rules(common).geometry == geometry.Rules(64, "pixel", minimum_size=32, alignment=16, rounding=3)
    assert rules(common, resolution=128, resolution_type="pixel_area").geometry.resolution == 128


def test_all_geometry_is_handed_on() -> None:
    given = rules(
        crop=True,
        crop_aspect="closest",
        crop_aspect_buckets=(1, 0.75),
        crop_style="corner",
        minimum_image_size=1,
        maximum_image_size=2,
        target_downsample_size=3,
        minimum_aspect_ratio=4,
        maximum_aspect_ratio=5,
        max_upscale_threshold=0.5,
    ).geometry
    pairs = ((1.0, 1.0), (0.75, 1.0))
    assert given == geometry.Rules(64, "pixel", True, "closest", pairs, "corner", 1, 2, 3, 4, 5, 0.5)


def test_crop_aspects_may_have_weights() -> None:
    buckets = ({"aspect": 1.0, "weight": 0.25}, {"aspect": 2, "weight": 0.75})
    assert rules(crop_aspect_buckets=buckets).geometry.crop_aspects == ((1.0, 0.25), (2.0, 0.75))


@pytest.mark.parametrize(
    "wrong", [("wide",), (0,), (-1.0,), ({"weight": 1},), (None,), ({"aspect": 1, "weight": -1},)]
)
def test_crop_aspects_that_make_no_sense(wrong: tuple[object, ...]) -> None:
    with pytest.raises(SettingsInvalid, match="'crop_aspect_buckets' must be a list") as caught:
        rules(crop_aspect_buckets=wrong)
    assert caught.value.problems[0].path == "datasets.set.crop_aspect_buckets"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, CaptionRules("filename")),
        (
            {"caption_strategy": "textfile", "disable_multiline_split": True},
            CaptionRules("textfile", (), False, False, True),
        ),
        (
            {"instance_prompt": "sks", "prepend_instance_prompt": True},
            CaptionRules("filename", ("sks",), True),
        ),
        (
            {"instance_prompt": ("a", "b"), "only_instance_prompt": True},
            CaptionRules("filename", ("a", "b"), False, True),
        ),
    ],
)
def test_captions(values: dict[str, Any], expected: CaptionRules) -> None:
    assert rules(**values).captions == replace(expected, folder=Path.cwd() / "set")


def test_buckets_are_pruned_as_in_simpletuner() -> None:
    assert not rules().prune
    assert rules(minimum_image_size=32).prune
    assert not rules({"disable_bucket_pruning": True}, minimum_image_size=32).prune


def test_the_folder_is_absolute() -> None:
    assert rules().folder == Path.cwd() / "set"

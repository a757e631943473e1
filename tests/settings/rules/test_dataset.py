"""What does not go together in datasets: windows, masks and references, tables of captions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tuner.errors import Problem
from tuner.settings.checks import problems
from tuner.settings.dataset import ImageDataset
from tuner.settings.run import RunSettings

PICTURES = ImageDataset(id="pictures", instance_data_dir="datasets/a")
MASKS = ImageDataset(
    id="masks", instance_data_dir="datasets/m", conditioning_type="mask", source_dataset_id="pictures"
)


def found(*datasets: ImageDataset) -> list[Problem]:
    return list(problems(RunSettings(datasets=datasets)))


def only(*datasets: ImageDataset) -> Problem:
    (problem,) = found(*datasets)
    return problem


def test_windows_that_fit() -> None:
    late = replace(PICTURES, id="late", start_epoch=2, end_epoch=2, start_step=10, end_step=10)
    assert found(PICTURES, late, replace(PICTURES, id="b", start_step=1, end_step=0)) == []


def test_something_takes_part_from_the_start() -> None:
    late = replace(PICTURES, start_step=5)
    problem = only(late, replace(PICTURES, id="b", start_epoch=2))
    assert problem.message.startswith("No dataset takes part in the first step")
    assert problem.change == {"datasets.pictures.start_epoch": 1, "datasets.pictures.start_step": 0}


@pytest.mark.parametrize("unit", ["epoch", "step"])
def test_a_window_that_closes_before_it_opens(unit: str) -> None:
    window: dict[str, Any] = {f"start_{unit}": 5, f"end_{unit}": 4}
    problem = only(PICTURES, replace(PICTURES, id="b", **window))
    assert problem.message == f"Dataset 'b' leaves after {unit} 4, before it joins with {unit} 5."
    assert problem.change == {f"datasets.b.end_{unit}": None}


def test_masks_may_be_named_from_either_side() -> None:
    assert found(PICTURES, MASKS) == []
    named = replace(PICTURES, conditioning_data="masks")
    assert found(named, replace(MASKS, source_dataset_id=None)) == []
    assert found(replace(PICTURES, conditioning_data=("masks",)), MASKS) == []


def test_masks_that_belong_to_nothing() -> None:
    lonely = only(PICTURES, replace(MASKS, source_dataset_id=None))
    assert "No dataset uses the mask of dataset 'masks'" in lonely.message
    wrong = only(PICTURES, replace(MASKS, source_dataset_id="picture"))
    assert "(did you mean 'pictures'?)" in wrong.message
    assert (
        found(PICTURES, replace(PICTURES, id="off", disabled=True), replace(MASKS, source_dataset_id="off"))
        == []
    )


@pytest.mark.parametrize("masks", [replace(MASKS, id="mask"), replace(MASKS, id="mask", disabled=True)])
def test_a_name_in_conditioning_data_that_is_not_there(masks: ImageDataset) -> None:
    problem = found(replace(PICTURES, conditioning_data="masks"), masks)[0]
    assert problem.message.startswith("Dataset 'pictures' names 'masks' in 'conditioning_data', but no")
    assert ("did you mean 'mask'" in problem.message) != masks.disabled
    assert problem.change == {"datasets.pictures.conditioning_data": None}


def test_one_mask_is_enough() -> None:
    problem = only(PICTURES, MASKS, replace(MASKS, id="more", conditioning_type="segmentation"))
    assert "2 datasets of masks (masks, more)" in problem.message


def test_conditioning_says_what_it_is() -> None:
    problem = only(PICTURES, replace(MASKS, conditioning_type=None, dataset_type="conditioning"))
    assert problem.key == "conditioning_type" and problem.path == "datasets.masks.conditioning_type"
    assert only(PICTURES, replace(MASKS, instance_data_dir="")).key == "instance_data_dir"
    assert "no ControlNet" in only(PICTURES, replace(MASKS, conditioning_type="controlnet")).message


def test_ids_are_unique_over_pictures_and_masks() -> None:
    assert "2 datasets have the id 'pictures'" in found(PICTURES, replace(MASKS, id="pictures"))[0].message


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"caption_strategy": "csv", "csv_caption_column": "text"}, "needs 'csv_file'"),
        ({"caption_strategy": "csv", "csv_file": "a.csv"}, "needs 'csv_caption_column'"),
        ({"caption_strategy": "parquet"}, "needs 'parquet'"),
        ({"caption_strategy": "parquet", "parquet": {"path": "a"}}, "'filename_column' and 'caption_column'"),
        ({"caption_strategy": "webshart"}, "from folders on this computer"),
        ({"type": "huggingface"}, "from folders on this computer"),
        ({"crop": True, "crop_style": "face"}, "no detector of faces"),
        ({"slider_strength": 1.0}, "slider LoRAs"),
        ({"vae_cache_clear_each_epoch": True}, "the VAE has left the memory"),
        ({"conditioning": ({"type": "canny"},)}, "from a folder, not made"),
        ({"delete_problematic_images": True}, "never deletes a picture"),
    ],
)
def test_what_does_not_work_says_why(values: dict[str, Any], words: str) -> None:
    message = only(replace(PICTURES, **values)).message
    assert words in message and "not supported yet" not in message

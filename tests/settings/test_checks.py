"""What does not go together is said, all of it at once, with the change that mends it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tuner.errors import Problem
from tuner.settings.checks import problems
from tuner.settings.dataset import ImageDataset
from tuner.settings.run import RunSettings

PICTURES = ImageDataset(id="pictures", instance_data_dir="datasets/a")
GOOD = RunSettings(datasets=(PICTURES,))


def with_(section: str, **values: Any) -> RunSettings:
    return replace(GOOD, **{section: replace(getattr(GOOD, section), **values)})


def of_dataset(**values: Any) -> RunSettings:
    return replace(GOOD, datasets=(replace(PICTURES, **values),))


def only(settings: RunSettings) -> Problem:
    (problem,) = problems(settings)
    return problem


def test_good_settings_have_no_problem() -> None:
    assert problems(GOOD) == ()


def test_steps_and_epochs() -> None:
    problem = only(with_("optimization", max_train_steps=300, num_train_epochs=2))
    assert problem.message == "'max_train_steps' is 300 and 'num_train_epochs' is 2; only one may be above 0."
    assert problem.change == {"optimization.num_train_epochs": 0}
    assert only(with_("optimization", max_train_steps=0, num_train_epochs=0)).key == "max_train_steps"


def test_betas_both_or_neither() -> None:
    problem = only(with_("optimization", optimizer_beta1=0.9))
    assert problem.message == "'optimizer_beta1' is given and 'optimizer_beta2' is not; give both or neither."
    assert problems(with_("optimization", optimizer_beta1=0.9, optimizer_beta2=0.99)) == ()


def test_optimizer_options() -> None:
    assert "weight_dcay" in only(with_("optimization", optimizer_config="weight_dcay=0.1")).message
    assert "name=value" in only(with_("optimization", optimizer_config="nothing")).message
    assert problems(with_("optimization", optimizer_config="weight_decay=0.1")) == ()


def test_one_noise_schedule() -> None:
    settings = with_("objective", flow_use_uniform_schedule=True, flow_use_beta_schedule=True)
    assert only(settings).change == {"objective.flow_use_beta_schedule": False}


def test_a_single_file_may_be_safetensors_and_not_gguf() -> None:
    assert problems(with_("model", pretrained_model_name_or_path="a/flux.safetensors")) == ()
    wrong = only(with_("model", pretrained_transformer_model_name_or_path="a/flux.gguf"))
    assert ".safetensors" in wrong.message and "base_model_precision" in wrong.message


def test_preview_sizes() -> None:
    assert "1024x768" in only(with_("sampling", validation_resolution="large")).message


def test_datasets() -> None:
    assert only(RunSettings()).path == "datasets"
    assert only(replace(GOOD, datasets=(PICTURES, PICTURES))).message == (
        "2 datasets have the id 'pictures'; each needs its own."
    )
    assert problems(replace(GOOD, datasets=(PICTURES, replace(PICTURES, disabled=True)))) == ()


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"id": ""}, "id"),
        ({"instance_data_dir": ""}, "instance_data_dir"),
        ({"caption_strategy": "instanceprompt"}, "instance_prompt"),
        ({"prepend_instance_prompt": True}, "instance_prompt"),
        ({"only_instance_prompt": True}, "instance_prompt"),
        ({"resolution": 0}, "resolution"),
        ({"resolution": 512.5}, "resolution"),
        ({"maximum_image_size": 1024}, "target_downsample_size"),
        ({"crop": True, "crop_aspect": "closest"}, "crop_aspect_buckets"),
        ({"type": "aws"}, "type"),
        ({"caption_strategy": "parquet"}, "parquet"),
        ({"crop_style": "middle"}, "crop_style"),
        ({"delete_unwanted_images": True}, "delete_unwanted_images"),
        ({"repeats": -1}, "repeats"),
    ],
)
def test_one_dataset(values: dict[str, Any], key: str) -> None:
    problem = only(of_dataset(**values))
    assert problem.key == key
    assert problem.path == f"datasets.{values.get('id', 'pictures')}.{key}"


def test_a_dataset_that_is_switched_off_is_not_looked_at() -> None:
    assert problems(replace(GOOD, datasets=(PICTURES, ImageDataset(id="b", disabled=True, type="aws")))) == ()


def test_all_problems_come_at_once() -> None:
    settings = with_("optimization", optimizer="x", max_train_steps=1, num_train_epochs=1)
    settings = replace(settings, datasets=(replace(PICTURES, type="aws"),))
    assert [p.key for p in problems(settings)] == ["optimizer", "type", "num_train_epochs"]

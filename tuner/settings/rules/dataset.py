"""What does not go together in datasets, among them and inside each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from tuner.errors import Problem
from tuner.settings.dataset import ImageDataset
from tuner.settings.rules import Rule, problem
from tuner.settings.run import RunSettings

DatasetRule = Callable[[ImageDataset, str], Iterator[Problem]]
"""The dataset with every value filled in, and its dotted path; says what is wrong with it."""


def _some_dataset(settings: RunSettings) -> Iterator[Problem]:
    if not settings.active_datasets:
        yield problem(
            "datasets",
            None,
            "There is no dataset with pictures that is switched on; add one with its folder.",
        )
    counts = Counter(one.id for one in settings.active_datasets)
    for name, count in counts.items():
        if count > 1:
            yield problem(
                f"datasets.{name}.id", name, f"{count} datasets have the id '{name}'; each needs its own."
            )


def _identity(one: ImageDataset, place: str) -> Iterator[Problem]:
    if not one.id:
        yield problem(
            f"{place}.id", one.id, f"The dataset with the folder '{one.instance_data_dir}' needs an 'id'."
        )
    if not one.instance_data_dir:
        yield problem(
            f"{place}.instance_data_dir", "", f"Dataset '{one.id}' needs 'instance_data_dir', its folder."
        )


def _captions(one: ImageDataset, place: str) -> Iterator[Problem]:
    if one.instance_prompt:
        return
    why = {
        "'caption_strategy' is instanceprompt": one.caption_strategy == "instanceprompt",
        "'prepend_instance_prompt' is true": bool(one.prepend_instance_prompt),
        "'only_instance_prompt' is true": one.only_instance_prompt,
    }
    for reason, holds in why.items():
        if holds:
            yield problem(
                f"{place}.instance_prompt",
                None,
                f"Dataset '{one.id}' needs an 'instance_prompt', because {reason}.",
            )
            return


def _geometry(one: ImageDataset, place: str) -> Iterator[Problem]:
    if not one.resolution:
        yield problem(
            f"{place}.resolution", one.resolution, f"Dataset '{one.id}': 'resolution' must be above 0."
        )
    elif one.resolution_type != "area" and one.resolution != int(one.resolution):
        yield problem(
            f"{place}.resolution",
            one.resolution,
            f"Dataset '{one.id}': 'resolution' is {one.resolution}; pixels must be whole.",
            {f"{place}.resolution": round(one.resolution)},
        )
    if one.maximum_image_size and not one.target_downsample_size:
        yield problem(
            f"{place}.target_downsample_size",
            None,
            f"Dataset '{one.id}' has a 'maximum_image_size' and needs a 'target_downsample_size' with it.",
            {f"{place}.target_downsample_size": one.maximum_image_size},
        )
    if one.crop_aspect in ("closest", "random") and not one.crop_aspect_buckets:
        yield problem(
            f"{place}.crop_aspect_buckets",
            None,
            f"Dataset '{one.id}' crops to {one.crop_aspect} shapes and needs 'crop_aspect_buckets'.",
            {f"{place}.crop_aspect_buckets": [1.0]},
        )


RULES: tuple[Rule, ...] = (_some_dataset,)
DATASET_RULES: tuple[DatasetRule, ...] = (_identity, _captions, _geometry)

"""What does not go together in datasets, among them and inside each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tuner.errors import Problem
from tuner.settings.dataset import PICTURES, ImageDataset
from tuner.settings.rules import Rule, problem
from tuner.settings.run import RunSettings
from tuner.settings.values import nearest

MASKS = ("mask", "segmentation")
PARQUET_KEYS = ("path", "filename_column", "caption_column")
DatasetRule = Callable[[ImageDataset, str], Iterator[Problem]]
"""The dataset with every value filled in, and its dotted path; says what is wrong with it."""


def _some_dataset(settings: RunSettings) -> Iterator[Problem]:
    if not settings.active_datasets:
        yield problem(
            "datasets",
            None,
            "There is no dataset with pictures that is switched on; add one with its folder.",
        )
    counts = Counter(one.id for one in (*settings.active_datasets, *settings.conditioning_datasets))
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


def _tables(one: ImageDataset, place: str) -> Iterator[Problem]:
    """The strategies that look captions up know where."""
    needed: Mapping[str, Mapping[str, Any]] = {
        "csv": {"csv_file": one.csv_file, "csv_caption_column": one.csv_caption_column},
        "parquet": {"parquet": one.parquet},
    }
    for key, value in needed.get(str(one.caption_strategy), {}).items():
        if not value:
            yield problem(
                f"{place}.{key}",
                None,
                f"Dataset '{one.id}' takes its captions from {one.caption_strategy} and needs '{key}'.",
            )
    missing = [key for key in PARQUET_KEYS if one.parquet and not one.parquet.get(key)]
    if missing and one.caption_strategy == "parquet":
        yield problem(
            f"{place}.parquet",
            one.parquet,
            f"Dataset '{one.id}': 'parquet' lacks {' and '.join(map(repr, missing))}.",
        )


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


def _windows(settings: RunSettings) -> Iterator[Problem]:
    """A run begins with some dataset, and no dataset leaves before it comes."""
    active = settings.active_datasets
    if active and all(one.start_epoch > 1 or one.start_step > 1 for one in active):
        first = active[0]
        yield problem(
            f"datasets.{first.id}.start_step",
            first.start_step,
            "No dataset takes part in the first step; let one start with epoch 1 and step 1.",
            {f"datasets.{first.id}.start_epoch": 1, f"datasets.{first.id}.start_step": 0},
        )
    for one in active:
        for unit in ("epoch", "step"):
            start, end = getattr(one, f"start_{unit}"), getattr(one, f"end_{unit}")
            if end and 0 < end < start:
                yield problem(
                    f"datasets.{one.id}.end_{unit}",
                    end,
                    f"Dataset '{one.id}' leaves after {unit} {end}, before it joins with {unit} {start}.",
                    {f"datasets.{one.id}.end_{unit}": None},
                )


def _conditioning(settings: RunSettings) -> Iterator[Problem]:
    """Masks and references know what they are and whose they are."""
    used = {other.id for one in settings.active_datasets for other in settings.companions(one)}
    pictures = {one.id for one in settings.datasets if one.holds == PICTURES}
    for one in settings.conditioning_datasets:
        place = f"datasets.{one.id}"
        yield from _identity(one, place)
        if not one.conditioning_type:
            yield problem(
                f"{place}.conditioning_type",
                None,
                f"Dataset '{one.id}' is of the type conditioning and needs a 'conditioning_type'.",
                {f"{place}.conditioning_type": "mask"},
            )
        if one.source_dataset_id and one.source_dataset_id not in pictures:
            yield problem(
                f"{place}.source_dataset_id",
                one.source_dataset_id,
                f"Dataset '{one.id}' belongs to '{one.source_dataset_id}', but no pictures have that id"
                f"{_meant(one.source_dataset_id, pictures)}.",
            )
        elif one.id not in used and not one.source_dataset_id:
            yield problem(
                f"{place}.source_dataset_id",
                None,
                f"No dataset uses the {one.conditioning_type or 'pictures'} of dataset '{one.id}'; "
                "name it in 'conditioning_data' of the one it belongs to.",
            )


def _companions(settings: RunSettings) -> Iterator[Problem]:
    """What a dataset names as its masks and references is there, and one mask is enough."""
    there = {one.id for one in settings.conditioning_datasets}
    for one in settings.active_datasets:
        place = f"datasets.{one.id}.conditioning_data"
        named = one.conditioning_data or ()
        for name in (named,) if isinstance(named, str) else named:
            if name not in there:
                yield problem(
                    place,
                    name,
                    f"Dataset '{one.id}' names '{name}' in 'conditioning_data', but no conditioning dataset "
                    f"that is switched on has that id{_meant(name, there)}.",
                    {place: None},
                )
        masks = [other.id for other in settings.companions(one) if other.conditioning_type in MASKS]
        if len(masks) > 1:
            yield problem(
                place,
                one.conditioning_data,
                f"Dataset '{one.id}' has {len(masks)} datasets of masks ({', '.join(masks)}); "
                "a picture takes one mask.",
            )


def _meant(name: str, known: Iterable[str]) -> str:
    found = nearest(name, known)
    return f" (did you mean '{found}'?)" if found else ""


RULES: tuple[Rule, ...] = (_some_dataset, _windows, _conditioning, _companions)
DATASET_RULES: tuple[DatasetRule, ...] = (_identity, _captions, _tables, _geometry)

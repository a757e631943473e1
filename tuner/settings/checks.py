"""What is wrong with settings: each by itself, and what does not go together. All of it at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tuner.errors import Problem
from tuner.optimizers import catalog, options
from tuner.settings.dataset import ImageDataset
from tuner.settings.run import RunSettings, dataset_specs, specs
from tuner.settings.sampling import preview_sizes
from tuner.settings.values import check


def problems(settings: RunSettings) -> tuple[Problem, ...]:
    """Every problem there is; an empty tuple means that the settings can be used."""
    found: list[Problem] = []
    for spec in specs():
        problem = check(spec, getattr(getattr(settings, spec.section), spec.name))
        found += [problem] if problem else []
    for one in settings.datasets:
        found += _each(one)
    for rule in RULES:
        found += rule(settings)
    for one in settings.active_datasets:
        for dataset_rule in DATASET_RULES:
            found += dataset_rule(one, f"datasets.{one.id}")
    return tuple(found)


def _each(one: ImageDataset) -> Iterator[Problem]:
    if one.disabled:
        return
    for spec in dataset_specs():
        problem = check(spec, getattr(one, spec.name), f"datasets.{one.id}.{spec.name}")
        if problem:
            yield problem


def _duration(settings: RunSettings) -> Iterator[Problem]:
    asked = settings.optimization
    steps, epochs = asked.max_train_steps, asked.num_train_epochs
    if steps and epochs:
        yield _problem(
            "optimization.num_train_epochs",
            epochs,
            f"'max_train_steps' is {steps} and 'num_train_epochs' is {epochs}; only one may be above 0.",
            {"optimization.num_train_epochs": 0},
        )
    if not steps and epochs == 0:
        yield _problem(
            "optimization.max_train_steps",
            steps,
            "'max_train_steps' and 'num_train_epochs' are both 0; give the number of steps.",
            {"optimization.max_train_steps": 1000},
        )


def _betas(settings: RunSettings) -> Iterator[Problem]:
    asked = settings.optimization
    given = {"optimizer_beta1": asked.optimizer_beta1, "optimizer_beta2": asked.optimizer_beta2}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == 1:
        other = next(name for name in given if name not in missing)
        yield _problem(
            f"optimization.{missing[0]}",
            None,
            f"'{other}' is given and '{missing[0]}' is not; give both or neither.",
            {f"optimization.{other}": None},
        )


def _optimizer_options(settings: RunSettings) -> Iterator[Problem]:
    asked = settings.optimization
    if asked.optimizer not in catalog.names():
        return
    try:
        sentences = catalog.option_problems(asked.optimizer, options.parse(asked.optimizer_config))
    except ValueError as error:
        sentences = (str(error),)
    for sentence in sentences:
        yield _problem(
            "optimization.optimizer_config",
            asked.optimizer_config,
            sentence,
            {"optimization.optimizer_config": None},
        )


def _schedules(settings: RunSettings) -> Iterator[Problem]:
    asked = settings.objective
    if asked.flow_use_uniform_schedule and asked.flow_use_beta_schedule:
        yield _problem(
            "objective.flow_use_beta_schedule",
            True,
            "'flow_use_uniform_schedule' and 'flow_use_beta_schedule' are both true; choose one.",
            {"objective.flow_use_beta_schedule": False},
        )


def _single_files(settings: RunSettings) -> Iterator[Problem]:
    for name in ("pretrained_model_name_or_path", "pretrained_transformer_model_name_or_path"):
        value = getattr(settings.model, name)
        if value and value.endswith((".safetensors", ".gguf")):
            yield _problem(
                f"model.{name}",
                value,
                f"'{name}' names a single file, which is not supported yet; name a model folder.",
            )


def _sizes(settings: RunSettings) -> Iterator[Problem]:
    try:
        preview_sizes(settings.sampling.validation_resolution)
    except ValueError as error:
        yield _problem("sampling.validation_resolution", settings.sampling.validation_resolution, str(error))


def _some_dataset(settings: RunSettings) -> Iterator[Problem]:
    if not settings.active_datasets:
        yield _problem(
            "datasets",
            None,
            "There is no dataset with pictures that is switched on; add one with its folder.",
        )
    counts = Counter(one.id for one in settings.active_datasets)
    for name, count in counts.items():
        if count > 1:
            yield _problem(
                f"datasets.{name}.id", name, f"{count} datasets have the id '{name}'; each needs its own."
            )


def _identity(one: ImageDataset, place: str) -> Iterator[Problem]:
    if not one.id:
        yield _problem(
            f"{place}.id", one.id, f"The dataset with the folder '{one.instance_data_dir}' needs an 'id'."
        )
    if not one.instance_data_dir:
        yield _problem(
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
            yield _problem(
                f"{place}.instance_prompt",
                None,
                f"Dataset '{one.id}' needs an 'instance_prompt', because {reason}.",
            )
            return


def _geometry(one: ImageDataset, place: str) -> Iterator[Problem]:
    if not one.resolution:
        yield _problem(
            f"{place}.resolution", one.resolution, f"Dataset '{one.id}': 'resolution' must be above 0."
        )
    elif one.resolution_type != "area" and one.resolution != int(one.resolution):
        yield _problem(
            f"{place}.resolution",
            one.resolution,
            f"Dataset '{one.id}': 'resolution' is {one.resolution}; pixels must be whole.",
            {f"{place}.resolution": round(one.resolution)},
        )
    if one.maximum_image_size and not one.target_downsample_size:
        yield _problem(
            f"{place}.target_downsample_size",
            None,
            f"Dataset '{one.id}' has a 'maximum_image_size' and needs a 'target_downsample_size' with it.",
            {f"{place}.target_downsample_size": one.maximum_image_size},
        )
    if one.crop_aspect in ("closest", "random") and not one.crop_aspect_buckets:
        yield _problem(
            f"{place}.crop_aspect_buckets",
            None,
            f"Dataset '{one.id}' crops to {one.crop_aspect} shapes and needs 'crop_aspect_buckets'.",
            {f"{place}.crop_aspect_buckets": [1.0]},
        )


def _problem(path: str, value: Any, message: str, change: Mapping[str, Any] | None = None) -> Problem:
    return Problem(path, path.rpartition(".")[2], value, message, change or {})


RULES = (_duration, _betas, _optimizer_options, _schedules, _single_files, _sizes, _some_dataset)
DATASET_RULES = (_identity, _captions, _geometry)

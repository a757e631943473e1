"""What is wrong with settings: each by itself, and what does not go together (`rules/`, a file a section)."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.errors import Problem
from tuner.settings.dataset import ImageDataset
from tuner.settings.rules import adapter, dataset, flavour, model, objective, optimization, sampling
from tuner.settings.run import RunSettings, dataset_specs, specs
from tuner.settings.values import check

RULES = (
    *model.RULES,
    *flavour.RULES,
    *adapter.RULES,
    *optimization.RULES,
    *objective.RULES,
    *dataset.RULES,
    *sampling.RULES,
)


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
    for one in (*settings.active_datasets, *settings.evaluation_datasets):
        for dataset_rule in dataset.DATASET_RULES:
            found += dataset_rule(one, f"datasets.{one.id}")
    return tuple(found)


def _each(one: ImageDataset) -> Iterator[Problem]:
    if one.disabled:
        return
    for spec in dataset_specs():
        problem = check(spec, getattr(one, spec.name), f"datasets.{one.id}.{spec.name}")
        if problem:
            yield problem

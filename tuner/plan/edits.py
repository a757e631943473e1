"""Kontext's previews: pictures of the dataset made again from their references, with their own captions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tuner.dataset.index import Companion, DatasetIndex, Picture
from tuner.flux.kontext import in_shape_of
from tuner.settings.request import SampleRequest
from tuner.settings.run import RunSettings
from tuner.settings.sampling import preview_sizes


def edits(settings: RunSettings, index: DatasetIndex, seeds: Iterable[int]) -> tuple[SampleRequest, ...]:
    """The first pictures of each dataset that has references, each in the shape of its first reference."""
    every = tuple(seeds)
    return tuple(
        SampleRequest(
            picture.captions[0],
            seed,
            f"{picture.dataset} {picture.path.stem}",
            *in_shape_of(picture.references[0].original_size, width * height),
            references=tuple(one.path for one in _chosen(settings, picture)),
        )
        for picture in _pictures(settings, index)
        for width, height in preview_sizes(settings.sampling.validation_resolution)
        for seed in every
    )


def _pictures(settings: RunSettings, index: DatasetIndex) -> Iterator[Picture]:
    only = settings.sampling.eval_dataset_id
    for entry in index.datasets:
        if only in (None, entry.id):
            paired = [picture for picture in entry.pictures if picture.references]
            yield from paired[: settings.sampling.num_eval_images]


def _chosen(settings: RunSettings, picture: Picture) -> tuple[Companion, ...]:
    """All references together, or the first where training takes one at a time."""
    together = settings.dataset.conditioning_multidataset_sampling == "combined"
    return picture.references if together else picture.references[:1]

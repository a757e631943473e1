"""Which pictures Kontext's previews start from, how large they are, and which words go with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.dataset.made import entry
from tuner.dataset.index import Companion, DatasetEntry, DatasetIndex
from tuner.plan import sources
from tuner.plan.edits import edits
from tuner.settings.dataset_defaults import Dataset
from tuner.settings.model import Model
from tuner.settings.run import RunSettings
from tuner.settings.sampling import SamplePrompt, Sampling


def paired(name: str, count: int, num_references: int = 1) -> DatasetEntry:
    """Pictures with references of 800 x 400."""
    references = tuple(
        Companion(Path(f"before{number}.png"), "", "reference", "before", (800, 400))
        for number in range(num_references)
    )
    one = entry(name, [count])
    return replace(one, pictures=tuple(replace(each, references=references) for each in one.pictures))


def settings(**sampling: Any) -> RunSettings:
    return RunSettings(
        model=Model(model_flavour="kontext"), sampling=Sampling(validation_resolution="512", **sampling)
    )


INDEX = DatasetIndex((paired("one", 6), entry("plain", [3]), paired("two", 2)))


def test_the_first_pictures_of_each_dataset_with_references() -> None:
    found = edits(settings(num_eval_images=3), INDEX, [7])
    assert [one.name.split()[0] for one in found] == ["one"] * 3 + ["two"] * 2
    first, picture = found[0], INDEX.datasets[0].pictures[0]
    assert (first.prompt, first.seed) == (picture.captions[0], 7)
    assert first.references == (Path("before0.png"),)


def test_the_shape_is_the_references_and_the_area_the_settings() -> None:
    (first, *_) = edits(settings(), INDEX, [7])
    assert (first.width, first.height) == (720, 368)


def test_one_dataset_alone_may_be_asked_for() -> None:
    found = edits(settings(eval_dataset_id="two"), INDEX, [1, 2])
    assert {one.name.split()[0] for one in found} == {"two"} and len(found) == 4


@pytest.mark.parametrize(("mix", "number"), [("random", 1), ("combined", 2)])
def test_references_as_training_mixes_them(mix: str, number: int) -> None:
    asked = replace(settings(), dataset=Dataset(conditioning_multidataset_sampling=mix))
    found = edits(asked, DatasetIndex((paired("one", 1, num_references=2),)), [0])
    assert len(found[0].references) == number


def test_they_stand_in_the_place_of_the_prompts() -> None:
    asked = replace(settings(), library=(SamplePrompt("house", "a house"),))
    assert {one.name.split()[0] for one in sources.previews(asked, INDEX)} == {"one", "two"}
    assert sources.previews(replace(asked, sampling=Sampling(validation_disable=True)), INDEX) == ()

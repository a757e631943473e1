from __future__ import annotations

from typing import Any

from tuner.files.databackend_json import read, write
from tuner.settings.dataset import ImageDataset
from tuner.settings.run import RunSettings

NAMES = {"output_dir": "runs/x", "model_family": "flux"}


def test_placeholders_are_filled() -> None:
    found = read([{"id": "a", "instance_data_dir": "{output_dir}/{model_family}/{id}"}], NAMES)
    assert found.datasets[0].instance_data_dir == "runs/x/flux/a"


def test_near_misses_are_named_per_dataset() -> None:
    found = read([{"id": "a", "caption_stratgy": "textfile", "max_workers": 3}], NAMES)
    assert found.notes == [
        "multidatabackend.json: 'caption_stratgy' of dataset 'a' is not used; it stays in the file. "
        "Did you mean 'caption_strategy'?",
        "multidatabackend.json: 'max_workers' of dataset 'a' makes no difference here: "
        "as many readers are used as help.",
    ]
    assert found.unused == {"a": {"caption_stratgy": "textfile", "max_workers": 3}}


def test_caches_lie_elsewhere() -> None:
    found = read([{"id": "t", "dataset_type": "text_embeds", "cache_dir": "cache/text"}], NAMES)
    assert found.notes[0].startswith(
        "multidatabackend.json: 'cache_dir' of 't' makes no difference here: all that"
    )


def test_what_is_taken_out_of_captions_stands_in_their_cache() -> None:
    document: list[dict[str, Any]] = [
        {"id": "a", "instance_data_dir": "a"},
        {"id": "b", "instance_data_dir": "b", "text_embeds": "own"},
        {"id": "c", "instance_data_dir": "c", "caption_filter_list": []},
        {"id": "own", "dataset_type": "text_embeds", "caption_filter_list": "own.txt"},
        {"id": "t", "dataset_type": "text_embeds", "default": True, "caption_filter_list": ["x", "s/a/b/"]},
        {"id": "off", "dataset_type": "text_embeds", "disabled": True, "caption_filter_list": ["y"]},
    ]
    found = read(document, NAMES)
    assert [one.caption_filter_list for one in found.datasets] == [("x", "s/a/b/"), "own.txt", ()]
    assert not found.notes
    settings = RunSettings(datasets=tuple(found.datasets))
    assert write(document, settings, settings) == document


def test_other_kinds_of_datasets() -> None:
    kinds = ["Video", "images", 7]
    found = read([{"id": str(kind), "dataset_type": kind} for kind in kinds], NAMES)
    assert [p.message for p in found.problems] == [
        "Dataset 'Video' has the dataset_type 'Video', but FLUX learns from pictures; disable it.",
        "Dataset 'images' has the dataset_type 'images', which is unknown. Did you mean 'image'?",
        "Dataset '7' has the dataset_type '7', which is unknown. Pictures need 'image', or nothing.",
    ]
    assert read([{"id": "m", "dataset_type": "video", "disabled": True}], NAMES).problems == []


def test_masks_and_references_are_datasets_too() -> None:
    document = [
        {
            "id": "m",
            "dataset_type": "Conditioning",
            "conditioning_type": "mask",
            "instance_data_dir": "masks",
        },
        {"id": "r", "conditioning_type": "reference_loose", "instance_data_dir": "references"},
        {"id": "e", "dataset_type": "eval", "instance_data_dir": "apart"},
    ]
    found = read(document, NAMES)
    assert [one.holds for one in found.datasets] == ["conditioning", "conditioning", "eval"]
    assert not found.problems and not found.unused
    settings = RunSettings(datasets=tuple(found.datasets))
    assert write(document, settings, settings) == document


def test_an_entry_that_is_no_object() -> None:
    assert read(["x"], NAMES).problems[0].message == "entry 1 is no object in braces."


def test_new_datasets_come_before_the_stores_and_gone_ones_go() -> None:
    document: list[dict[str, Any]] = [
        {"id": "old", "instance_data_dir": "a", "dataset_type": "image"},
        {"id": "gone", "instance_data_dir": "b"},
        {"id": "t", "dataset_type": "text_embeds"},
    ]
    before = RunSettings(datasets=tuple(read(document, NAMES).datasets))
    after = RunSettings(
        datasets=(before.datasets[0], ImageDataset(id="new", instance_data_dir="c", repeats=3))
    )
    assert write(document, before, after) == [
        document[0],
        {"id": "new", "type": "local", "instance_data_dir": "c", "repeats": 3},
        document[2],
    ]

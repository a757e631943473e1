from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.dataset.made import dataset, pictures, settings
from tuner.dataset.caption_edits import Filter, Shuffle, parsed
from tuner.dataset.caption_rules import captions
from tuner.dataset.captions import CaptionRules
from tuner.dataset.scan import scan
from tuner.errors import SettingsInvalid


def rules(**values: Any) -> CaptionRules:
    return captions(dataset(Path("set"), caption_strategy="filename", **values), seed=5)


def test_filters_are_a_list_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("one\n\ns/a/b/\n", encoding="utf-8")
    (tmp_path / "list.json").write_text('["one", "s/a/b/"]', encoding="utf-8")
    expected = (parsed("one"), parsed("s/a/b/"))
    for given in (("one", "s/a/b/"), str(tmp_path / "list.txt"), str(tmp_path / "list.json")):
        assert rules(caption_filter_list=given).filters == expected
    assert rules(caption_filter_list="a dog").filters == (parsed("a dog"),)
    assert rules().filters == () and isinstance(expected[0], Filter)


@pytest.mark.parametrize(
    ("given", "words"),
    [("gone.txt", "gone.txt"), ("{}", "must hold a list of texts"), (("s/(/x/",), "is no regular")],
)
def test_filters_that_cannot_be_used(tmp_path: Path, given: Any, words: str) -> None:
    if given == "{}":
        (tmp_path / "list.json").write_text(given)
        given = str(tmp_path / "list.json")
    with pytest.raises(SettingsInvalid, match=words) as caught:
        rules(caption_filter_list=given)
    assert caught.value.problems[0].path == "datasets.set.caption_filter_list"


def test_the_run_seeds_a_shuffle_without_a_seed() -> None:
    assert rules(caption_shuffle={"count": 3}).shuffle is None
    assert rules(caption_shuffle={"enable": True, "count": 3}).shuffle == Shuffle(3, seed=5)
    given = {"enable": True, "seed": 2, "split_on": "space", "position_start": 1, "include_original": False}
    assert rules(caption_shuffle=given).shuffle == Shuffle(1, 2, "space", 1, False)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"count": 0}, "'count' must be"),
        ({"count": "many"}, "'count' must be"),
        ({"position_start": -1}, "'position_start' must be"),
        ({"split_on": "dash"}, "comma, space, period"),
        ({"cuont": 2}, "no key {'cuont'}"),
    ],
)
def test_a_shuffle_that_makes_no_sense(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsInvalid, match=words) as caught:
        rules(caption_shuffle={"enable": True, **wrong})
    assert caught.value.problems[0].path == "datasets.set.caption_shuffle"


def test_captions_from_a_table(tmp_path: Path) -> None:
    pictures(tmp_path / "set", "a.png", "deep/b.png", "c.png")
    (tmp_path / "t.csv").write_text("file,text\na.png,one\nb,two\n", encoding="utf-8")
    by_csv = {
        "caption_strategy": "csv",
        "csv_file": str(tmp_path / "t.csv"),
        "csv_caption_column": "text",
        "csv_url_column": "file",
    }
    table = {"path": str(tmp_path / "t.csv"), "filename_column": "file", "caption_column": ["text"]}
    for values in (by_csv, {"caption_strategy": "parquet", "parquet": table}):
        index = scan(settings(dataset(tmp_path / "set", **values)))
        assert [one.captions for one in index.pictures] == [("one",), ("two",)]
        assert "no row for 'c.png'" in index.left_out[0].reason


def test_a_table_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps([{"id": "a"}]))
    table = {"path": str(tmp_path / "t.json"), "filename_column": "id", "caption_column": "text"}
    with pytest.raises(
        SettingsInvalid, match="'set': The table of captions .* has no column 'text'"
    ) as caught:
        captions(dataset(tmp_path, caption_strategy="parquet", parquet=table), seed=0)
    assert caught.value.problems[0].path == "datasets.set.parquet"

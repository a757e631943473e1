"""Every place that captions come from, from pictures to export, or the reason why not."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.rows.trial import check, refusal, refused, train, works
from tuner.settings.run import RunSettings

STRATEGY = "datasets.caption_strategy"
OF_PICTURES = "datasets.pictures"


def table(pictures: Path, folder: Path) -> Path:
    path = folder / "captions.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("name", "text"))
        writer.writerows((one.name, f"a sks called {one.stem}") for one in pictures.glob("*.png"))
    return path


@pytest.mark.parametrize("name", works(STRATEGY))
def test_a_caption_strategy(
    name: str, settings: RunSettings, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = str(table(pictures, tmp_path))
    columns = {"path": written, "filename_column": "name", "caption_column": "text"}
    needs: dict[str, dict[str, Any]] = {
        "parquet": {"parquet": columns},
        "csv": {"csv_file": written, "csv_url_column": "name", "csv_caption_column": "text"},
    }
    values = {"caption_strategy": name, **needs.get(name, {})}
    check(train(settings, {f"{OF_PICTURES}.{key}": value for key, value in values.items()}, monkeypatch))


@pytest.mark.parametrize("name", refused(STRATEGY))
def test_a_caption_strategy_that_does_not_work(name: str, settings: RunSettings) -> None:
    refusal(settings, {f"{OF_PICTURES}.caption_strategy": name})


@pytest.mark.parametrize(
    "key", ["prepend_instance_prompt", "only_instance_prompt", "disable_multiline_split"]
)
def test_a_treatment_of_captions(key: str, settings: RunSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    check(train(settings, {f"{OF_PICTURES}.{key}": True}, monkeypatch))


def test_tags_in_another_order(settings: RunSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    change = {f"{OF_PICTURES}.caption_shuffle": {"enable": True, "split_on": "space"}}
    check(train(settings, change, monkeypatch))

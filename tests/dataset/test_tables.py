from __future__ import annotations

import json
from pathlib import Path

import pandas
import pytest
from fastparquet import write

from tuner.dataset.tables import look_up, read

ROWS = [
    {"id": "a", "caption": "one", "more": "two", "tags": "t"},
    {"id": "deep\\\\b.png".replace("\\\\", "\\"), "caption": " b ", "more": "", "tags": "t"},
    {"id": "https://x.org/y/c.jpg", "caption": "", "more": "", "tags": "late"},
    {"id": "d", "caption": "", "more": "", "tags": ""},
]


def table(folder: Path, ending: str) -> Path:
    path = folder / f"table{ending}"
    frame = pandas.DataFrame(ROWS)
    if ending == ".csv":
        frame.to_csv(path, index=False, encoding="utf-8-sig")
    elif ending == ".tsv":
        frame.to_csv(path, index=False, sep="\t")
    elif ending == ".json":
        path.write_text(json.dumps(ROWS))
    elif ending == ".jsonl":
        path.write_text("\n".join(map(json.dumps, ROWS)) + "\n")
    else:
        write(str(path), frame)
    return path


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".json", ".jsonl", ".parquet"])
def test_rows_belong_to_pictures(tmp_path: Path, ending: str) -> None:
    found = read(table(tmp_path, ending), "id", ["caption", "more"], ["tags"])
    assert look_up(found, "a.png") == look_up(found, "sub/a.jpg") == ("one", "two")
    assert look_up(found, "deep/b.png") == look_up(found, "b.png") == ("b",)
    assert look_up(found, "c.jpg") == ("late",)
    assert look_up(found, "d.png") == () and look_up(found, "e.png") is None


def test_a_name_that_two_rows_share_needs_its_path(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text(json.dumps([{"id": "x/a", "c": "one"}, {"id": "y/a", "c": "two"}, {"id": 7.0, "c": 8}]))
    found = read(path, "id", ["c"])
    assert look_up(found, "x/a.png") == ("one",) and look_up(found, "z/a.png") is None
    assert look_up(found, "7.png") == ("8",)


def test_a_cell_may_hold_several_captions(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    path.write_text(json.dumps({"id": "a", "c": ["one", None, "two", "one"]}))
    assert look_up(read(path, "id", ["c"]), "a.png") == ("one", "two")


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("gone.csv", None, "cannot be opened"),
        ("table.xlsx", b"x", "must end in .csv"),
        ("table.parquet", b"no parquet", "cannot be read"),
        ("table.json", b"{}", "list of objects"),
        ("table.jsonl", b"{", "cannot be read"),
        ("table.csv", b"\xff\xfe", "cannot be read"),
        ("table.csv", b"id,text\na,b\n", "has no column 'c'; it has id, text"),
        ("table.csv", b"", "has no column 'id'"),
    ],
)
def test_a_useless_table_is_named(tmp_path: Path, name: str, data: bytes | None, words: str) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=words) as caught:
        read(tmp_path / name, "id", ["c"])
    assert str(tmp_path / name) in str(caught.value)


def test_a_parquet_file_without_the_column_names_those_it_has(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no column 'text'; it has id, caption, more, tags"):
        read(table(tmp_path, ".parquet"), "id", ["text"])

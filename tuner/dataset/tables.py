"""Tables of captions: which row belongs to a picture. CSV, JSON lines, JSON and parquet files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

Table = Mapping[str, tuple[str, ...]]
"""Captions by the name that stands in the table, and by its last part where that is the only one."""
Row = Mapping[str, Any]
Rows = tuple[list[str], Sequence[Row]]


def read(path: Path, name: str, captions: Sequence[str], fallback: Sequence[str] = ()) -> Table:
    """`name`, `captions` and `fallback` are columns; the last counts where all captions are empty.

    A cell may hold a list: then each text in it is a caption. Raises ValueError with a sentence.
    """
    if path.suffix.lower() not in READERS:
        raise ValueError(f"'{path}' is no table that can be read; it must end in {', '.join(READERS)}.")
    wanted = [name, *captions, *fallback]
    try:
        columns, rows = READERS[path.suffix.lower()](path.read_bytes(), wanted)
    except OSError as error:
        raise ValueError(f"The table of captions '{path}' cannot be opened ({error.strerror}).") from error
    except Exception as error:  # on damaged files the readers raise nearly anything
        raise ValueError(f"The table of captions '{path}' cannot be read ({error}).") from error
    if missing := [column for column in wanted if column not in columns]:
        raise ValueError(
            f"The table of captions '{path}' has no column '{missing[0]}'; it has {', '.join(columns)}."
        )
    found: dict[str, tuple[str, ...]] = {}
    for row in rows:
        if key := _name(row.get(name)):
            found[key] = _texts(row, captions) or _texts(row, fallback)
    return _short_names(found) | found


def look_up(table: Table, relative: str) -> tuple[str, ...] | None:
    """By the path below the dataset's folder or by the name alone, each with and without the ending."""
    path = PurePosixPath(relative)
    candidates = (relative, str(path.with_suffix("")), path.name, path.stem)
    return next((table[one] for one in candidates if one in table), None)


def _short_names(found: Table) -> dict[str, tuple[str, ...]]:
    """By the last part of a path or an address, unless two rows would share it."""
    full: dict[str, list[str]] = {}
    for key in found:
        full.setdefault(key.rpartition("/")[2], []).append(key)
    return {short: found[keys[0]] for short, keys in full.items() if len(keys) == 1}


def _name(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return "" if _is_nothing(cell) else str(cell).strip().replace("\\", "/").removeprefix("./")


def _texts(row: Row, columns: Iterable[str]) -> tuple[str, ...]:
    cells = [row.get(column) for column in columns]
    flat = [one for cell in cells for one in (cell if isinstance(cell, list | tuple) else [cell])]
    return tuple(dict.fromkeys(str(one).strip() for one in flat if not _is_nothing(one) and str(one).strip()))


def _is_nothing(cell: Any) -> bool:
    """None, or pandas' not-a-number, which is not equal to itself."""
    return cell is None or cell != cell  # noqa: PLR0124


def _csv(data: bytes, _wanted: Sequence[str], delimiter: str = ",") -> Rows:
    text = io.StringIO(data.decode("utf-8-sig"), newline="")
    reader = csv.DictReader(text, delimiter=delimiter, strict=True)
    return list(reader.fieldnames or ()), list(reader)


def _json(data: bytes, _wanted: Sequence[str]) -> Rows:
    return _objects(json.loads(data.decode("utf-8-sig")))


def _json_lines(data: bytes, _wanted: Sequence[str]) -> Rows:
    return _objects([json.loads(line) for line in data.decode("utf-8-sig").splitlines() if line.strip()])


def _objects(rows: Any) -> Rows:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it must be a list of objects")
    return list(dict.fromkeys(key for row in rows for key in row)), rows


def _parquet(data: bytes, wanted: Sequence[str]) -> Rows:
    from fastparquet import ParquetFile

    file = ParquetFile(io.BytesIO(data))
    columns = [column for column in dict.fromkeys(wanted) if column in file.columns]
    table = file.to_pandas(columns).to_dict("list")
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*table.values(), strict=True)]
    return list(file.columns), rows


READERS: Mapping[str, Callable[[bytes, Sequence[str]], Rows]] = {
    ".csv": _csv,
    ".tsv": partial(_csv, delimiter="\t"),
    ".json": _json,
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}
"""(all columns, the rows with at least those that are wanted) by the ending of the file."""

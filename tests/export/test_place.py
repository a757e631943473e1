"""Never over another file, whole or not there, and a sentence for whatever stands in the way."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tuner.errors import DiskFull, TunerError
from tuner.export import place


def test_a_name_is_free_in_every_folder(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder, name in ((first, "x.safetensors"), (second, "x-2.safetensors")):
        folder.mkdir()
        (folder / name).touch()
    assert place.free_name("x.safetensors", first, second) == "x-3.safetensors"
    assert place.free_name("y.safetensors", first, second) == "y.safetensors"


def test_a_copy_is_the_same_and_leaves_nothing_beside(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(os.urandom(5_000_000))
    place.copy(tmp_path / "source", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "source").read_bytes()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["copy", "source"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"precious")
    with pytest.raises(TunerError, match="could not be written: File exists"):
        place.write(b"other", tmp_path / "there")
    assert (tmp_path / "there").read_bytes() == b"precious"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (errno.ENOSPC, DiskFull, "is full"),
        (errno.EROFS, TunerError, "may not be written to"),
        (errno.EACCES, TunerError, "may not be written to"),
        (errno.EIO, TunerError, "could not be written"),
    ],
)
def test_what_the_disk_says(
    code: int, kind: type[TunerError], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: int) -> None:
        raise OSError(code, os.strerror(code))

    (tmp_path / "source").write_bytes(b"numbers")
    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(kind, match=words):
        place.copy(tmp_path / "source", tmp_path / "copy")
    assert [one.name for one in tmp_path.iterdir()] == ["source"]

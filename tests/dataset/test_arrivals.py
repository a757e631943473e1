from __future__ import annotations

import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import pytest

from tests.dataset.made import pictures
from tuner.dataset import arrivals
from tuner.dataset.arrivals import take


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "taken"


@pytest.fixture
def png(tmp_path: Path) -> bytes:
    return (pictures(tmp_path, "made.png") / "made.png").read_bytes()


def zipped(path: Path, members: Mapping[str, bytes]) -> Path:
    with ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_pictures_captions_and_a_zip(tmp_path: Path, folder: Path, png: bytes) -> None:
    (tmp_path / "one.PNG").write_bytes(png)
    (tmp_path / "one.txt").write_text("a sks")
    archive = zipped(
        tmp_path / "more.zip",
        {"deep/zwei 🐱.jpg": png, "deep/zwei 🐱.txt": b"sks", "notes.pdf": b"x", "__MACOSX/._one.png": b"x",
         ".DS_Store": b"x", "deep/": b""},
    )  # fmt: skip
    taken = take([tmp_path / "one.PNG", tmp_path / "one.txt", archive], folder)
    assert (taken.pictures, taken.captions) == (
        ["one.PNG", "deep/zwei 🐱.jpg"],
        ["one.txt", "deep/zwei 🐱.txt"],
    )
    assert taken.left_out == [("notes.pdf", "It is neither a picture nor a caption.")]
    assert files(folder) == ["deep/zwei 🐱.jpg", "deep/zwei 🐱.txt", "one.PNG", "one.txt"]
    assert (folder / "deep/zwei 🐱.jpg").read_bytes() == png


@pytest.mark.parametrize(
    "name",
    [
        "../out.png",
        "a/../../out.png",
        "/tmp/out.png",
        "..\\out.png",
        "C:\\out.png",
        "C:out.png",
        "\\\\pc\\out.png",
    ],
)
def test_nothing_lands_outside(tmp_path: Path, folder: Path, png: bytes, name: str) -> None:
    before = files(tmp_path)
    taken = take([zipped(tmp_path / "bad.zip", {name: png, "good.png": png})], folder)
    assert taken.pictures == ["good.png"]
    assert [reason for _, reason in taken.left_out] == ["Its name points out of the folder."]
    assert files(tmp_path) == sorted([*before, "bad.zip", "taken/good.png"])


def test_links_are_not_followed(tmp_path: Path, folder: Path, png: bytes) -> None:
    path = tmp_path / "links.zip"
    with ZipFile(path, "w") as archive:
        link = ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert take([path], folder).left_out == [("link.png", "It is a link.")] and files(folder) == []


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("CON.png", "_CON.png"),
        ("ab:c?.png", "ab_c_.png"),
        ("deep. /x.png", "deep/x.png"),
        ("e\u0301.png", "é.png"),
    ],
)
def test_names_that_some_system_cannot_write(
    tmp_path: Path, folder: Path, png: bytes, name: str, written: str
) -> None:
    assert take([zipped(tmp_path / "x.zip", {name: png})], folder).pictures == [written]
    assert files(folder) == [written]


def test_what_is_there_is_not_overwritten(tmp_path: Path, folder: Path, png: bytes) -> None:
    archive = zipped(tmp_path / "x.zip", {"a.png": png})
    take([archive], folder)
    (folder / "a.png").write_bytes(b"mine")
    assert take([archive], folder).left_out == [("a.png", "A file of this name is there already.")]
    assert (folder / "a.png").read_bytes() == b"mine"


def test_limits(tmp_path: Path, folder: Path, png: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "MOST_FILES", 2)
    archive = zipped(
        tmp_path / "x.zip", {"big.txt": b"x" * 1_000_001, "a.png": png, "b.png": png, "c.png": png}
    )
    assert [name for name, _ in take([archive], folder).left_out] == ["big.txt", "c.png"]
    monkeypatch.setattr(arrivals, "MOST_GB", 1.5 * len(png) / 1e9)
    assert take([archive], tmp_path / "other").pictures == ["a.png"]


def test_a_bomb_that_lies_about_its_size(tmp_path: Path, folder: Path) -> None:
    """The size in the directory of the ZIP is made smaller than what comes out."""
    path = zipped(tmp_path / "bomb.zip", {"a.png": b"\0" * 3_000_000})
    data = path.read_bytes()
    path.write_bytes(data.replace((3_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    assert [name for name, _ in take([path], folder).left_out] == ["a.png"]
    assert files(folder) == []


def test_zips_that_cannot_be_read(tmp_path: Path, folder: Path, png: bytes) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK no")
    locked = zipped(tmp_path / "locked.zip", {"a.png": png, "b.png": png})
    data = bytearray(locked.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # says: encrypted
    data[6] |= 1
    locked.write_bytes(data)
    damaged = zipped(tmp_path / "damaged.zip", {"c.png": png, "d.png": png})
    damaged.write_bytes(damaged.read_bytes().replace(png[40:50], b"0" * 10, 1))
    taken = take([broken, locked, damaged], folder)
    assert [name for name, _ in taken.left_out][:2] == ["broken.zip", "a.png"]
    assert "b.png" in taken.pictures and "d.png" in taken.pictures

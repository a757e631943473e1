"""A folder with every kind of trouble: each file is named with its reason, and the rest is trained on."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image

from tests.dataset.made import dataset, pictures, settings
from tuner.dataset.batches import Batches
from tuner.dataset.decoding import open_mask, open_picture
from tuner.dataset.geometry import settle
from tuner.dataset.index import DatasetIndex
from tuner.dataset.scan import scan
from tuner.dataset.sheet import sheet

LONG = "é" * 110 + "x" * 16 + ".png"
"""240 bytes, the longest that most disks take, and a caption beside it."""


def noise(path: Path, **options: object) -> bytes:
    Image.effect_noise((200, 200), 90).save(path, **options)  # type: ignore[arg-type]
    return path.read_bytes()


def zero(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(noise(path)[:-900])


def corrupt(path: Path) -> None:
    data = noise(path)
    path.write_bytes(data[:3000] + b"garbage" + data[3007:])


def no_picture(path: Path) -> None:
    path.write_text("I am no picture")


def bomb(path: Path) -> None:
    """A PNG that says to be 30,000 px square."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    data = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)


def dot(path: Path) -> None:
    Image.new("RGB", (1, 1)).save(path)


def strip(path: Path) -> None:
    Image.new("RGB", (30_000, 10)).save(path)


def deep(path: Path) -> None:
    Image.new("I", (64, 64), 1 << 20).save(path)


def foreign(path: Path) -> None:
    path.write_bytes(b"jxl")


def gone(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def good(path: Path) -> None:
    Image.new("RGB", (64, 64), (len(path.name), 9, 9)).save(path)


def with_caption(data: bytes | None) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        good(path)
        path.with_suffix(".txt").unlink()
        if data is not None:
            path.with_suffix(".txt").write_bytes(data)

    return make


def with_mask(make: Callable[[Path], None]) -> Callable[[Path], None]:
    def both(path: Path) -> None:
        good(path)
        make(path.parent.parent / "masks" / path.name)

    return both


def folder_for_caption(path: Path) -> None:
    good(path)
    path.with_suffix(".txt").unlink()
    path.with_suffix(".txt").mkdir()


def other_shape(path: Path) -> None:
    Image.new("L", (64, 40)).save(path)


def twice(path: Path) -> None:
    good(path.with_suffix(".webp"))
    good(path.with_suffix(".bmp"))


LEFT_OUT: dict[str, tuple[Callable[[Path], None], str]] = {
    "zero.png": (zero, "The file is empty."),
    "cut.jpg": (cut, "damaged or cut off"),
    "cut.webp": (cut, "damaged or cut off"),
    "corrupt.png": (corrupt, "damaged or cut off"),
    "text.png": (no_picture, "not a picture"),
    "bomb.png": (bomb, "more than 178 million pixels"),
    "dot.png": (dot, "1 x 1 px is too small"),
    "strip.png": (strip, "30000 x 10 px is too small"),
    "deep.tif": (deep, "32 bits a channel"),
    "foreign.jxl": (foreign, "Files of the JPEG XL kind are not opened"),
    "gone.png": (gone, "cannot be opened (No such file"),
    "no caption.png": (with_caption(None), "It has no caption file"),
    "empty caption.png": (with_caption(b"\n \r\n"), "is empty."),
    "binary caption.png": (with_caption(b"\xff\x00\x81\x8d\xfe"), "is not UTF-8 text"),
    "folder for caption.png": (folder_for_caption, "cannot be read"),
    "broken mask.png": (with_mask(cut), "Its mask"),
    "flat mask.png": (with_mask(other_shape), "not the shape of 64 x 64 px"),
    "two masks.png": (with_mask(twice), "It has 2 masks"),
}
USED: dict[str, tuple[Callable[[Path], None], str]] = {
    "good.png": (with_mask(good), ""),
    "twin.png": (with_mask(good), "Another picture is called 'twin' too"),
    "twin.jpg": (good, "Another picture is called 'twin' too"),
    "no mask.png": (good, "It has no mask in"),
    "small mask.png": (with_mask(lambda path: Image.new("L", (16, 16), 255).save(path)), ""),
    "latin.png": (with_caption(b"sch\xf6n"), "read as cp1252"),
    "ä ö 😀 % #.png": (with_mask(good), ""),
    LONG: (with_mask(good), ""),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    for path in (made, tmp_path / "masks"):
        path.mkdir()
    for name, (make, _) in {**LEFT_OUT, **USED}.items():
        (made / name).with_suffix(".txt").write_text("a caption", encoding="utf-8")
        make(made / name)
    pictures(made, ".hidden.png", "._good.png", "nested/deep/er.png")
    (made / "nested" / "deep" / "er.txt").write_text("one\ntwo\n")
    (made / "nested" / "round").symlink_to(made)
    (made / "folder.png").mkdir()
    return made


@pytest.fixture
def index(folder: Path) -> DatasetIndex:
    asked = dataset(folder, caption_strategy="textfile", conditioning_data="masks")
    masks = dataset(folder.parent / "masks", "masks", conditioning_type="mask")
    return settle(scan(settings(asked, masks)), seed=1)


def test_each_is_named_with_its_reason(folder: Path, index: DatasetIndex) -> None:
    told = {one.path.name: one.reason for one in index.left_out}
    assert told.keys() == LEFT_OUT.keys()
    for name, (_, words) in LEFT_OUT.items():
        assert words in told[name], name


def test_the_rest_is_used(folder: Path, index: DatasetIndex) -> None:
    used = {one.path.name: one for one in index.pictures}
    assert used.keys() == {*USED, "er.png"}
    for name, (_, words) in USED.items():
        assert (words in " ".join(used[name].remarks)) if words else not used[name].remarks, name
    assert used["er.png"].captions == ("one", "two")
    assert used["twin.png"].mask is not None and used["twin.png"].mask == used["twin.jpg"].mask


def test_nothing_crashes_on_what_is_used(index: DatasetIndex) -> None:
    for batch in islice(Batches(index, seed=1), 2 * len(index.pictures)):
        for item in batch.items:
            assert open_picture(item.picture).size == (64, 64)
            assert item.picture.mask is None or open_mask(item.picture).size == (64, 64)


def test_the_sheet_tells_all_of_it(folder: Path, index: DatasetIndex) -> None:
    shown = sheet(index, settings(dataset(folder)))["pictures"]
    assert len(shown) == len(LEFT_OUT) + len(USED) + 1
    assert all(one["excluded"] or one["captions"] for one in shown)


def test_the_folder_is_only_read(folder: Path) -> None:
    def content() -> dict[str, bytes]:
        return {path: Path(path).read_bytes() for path in _files(folder.parent)}

    before = content()
    scan(settings(dataset(folder)))
    assert content() == before


def _files(folder: Path) -> list[str]:
    return [
        os.path.join(root, name)
        for root, _, names in os.walk(folder)
        for name in names
        if os.path.exists(os.path.join(root, name))
    ]


pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need rights there")

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from PIL import Image, ImageFilter

from tests.dataset.made import dataset, settings
from tests.dataset.test_signs import photograph
from tuner.dataset import chosen, doctor, scan
from tuner.dataset.doctor import Finding
from tuner.dataset.index import Picture
from tuner.dataset.signs import Signs
from tuner.dataset.tokens import Encoder, flux_encoders

PRACTICE = "tuner/practice/model"


def add(folder: Path, name: str, image: Image.Image, caption: str | None = "a sks", **how: object) -> Path:
    folder.mkdir(exist_ok=True)
    image.save(folder / name, **how)
    if caption is not None:
        (folder / name).with_suffix(".txt").write_text(caption, encoding="utf-8")
    return folder / name


def findings(folder: Path, *encoders: Encoder, **values: object) -> dict[str, list[Finding]]:
    """By the names of the files."""
    usual = {"caption_strategy": "textfile", "instance_prompt": "sks"}
    asked = settings(dataset(folder, **{**usual, **values}), resolution=256)
    found: dict[str, list[Finding]] = {}
    for one in doctor.examine(scan.look(asked), encoders):
        found.setdefault(Path(one.file).name, []).append(one)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One picture for each kind of trouble, and two without any."""
    here = tmp_path / "set"
    add(here, "good.png", photograph(1))
    add(here, "good too.png", photograph(2))
    add(here, "soft.png", photograph(3, (800, 600)).filter(ImageFilter.GaussianBlur(4)))
    add(here, "small.png", photograph(4, (100, 80)))
    framed = Image.new("RGB", (400, 340))
    framed.paste(Image.eval(photograph(5), lambda v: v // 2 + 100), (0, 20))
    add(here, "framed.png", framed)
    exif = Image.Exif()
    exif[0x0112] = 6
    add(here, "turned.jpg", photograph(6), exif=exif)
    add(here, "like good.jpg", photograph(1).resize((800, 600)), quality=80)
    add(here, "same as good too.png", photograph(2))
    add(here, "stranger.png", photograph(7), "a sksish thing")
    add(here, "long.png", photograph(8), "a sks " + "very " * 30)
    add(here, "silent.png", photograph(9), None)
    add(here, "empty.png", photograph(10), " \n")
    (here / "cut.png").write_bytes((here / "good.png").read_bytes()[:500])
    return here


def test_each_is_found_and_nothing_else(folder: Path) -> None:
    found = findings(folder, Encoder("T5", 32, "The rest is lost."))
    assert {name: [(one.kind, one.fix) for one in each] for name, each in found.items()} == {
        "soft.png": [("blurred", "leave out")],
        "small.png": [("too small", "leave out")],
        "framed.png": [("border", "leave out")],
        "turned.jpg": [("turned", "")],
        "like good.jpg": [("near-duplicate", "leave out")],
        "same as good too.png": [("near-duplicate", "leave out")],
        "stranger.png": [("no trigger", "add trigger")],
        "long.png": [("long caption", "")],
        "silent.png": [("no caption", "write caption")],
        "empty.png": [("no caption", "write caption")],
        "cut.png": [("corrupt", "")],
    }
    said = {name: each[0].sentence for name, each in found.items()}
    assert said["small.png"] == "It is only 100 x 80 px and would be enlarged 3.2 times."
    assert said["framed.png"].startswith("It has a border: top (6%), bottom (6%).")
    assert "nearly like 'good.png'" in said["like good.jpg"]
    assert "the same picture as 'good too.png'" in said["same as good too.png"]
    assert said["long.png"] == "T5 reads 32 tokens of its caption, which has about 43. The rest is lost."
    assert "has no caption file" in said["silent.png"] and "is empty" in said["empty.png"]


def test_a_border_that_is_cut_off_does_no_harm(folder: Path) -> None:
    wide = Image.new("RGB", (440, 300))
    wide.paste(Image.eval(photograph(11), lambda v: v // 2 + 100), (20, 0))
    add(folder, "wide.png", wide)
    assert "wide.png" in findings(folder)
    assert "wide.png" in findings(folder, crop=True, crop_style="random")
    assert "wide.png" not in findings(folder, crop=True, crop_style="center")


def test_captions_from_elsewhere_are_not_mended_in_files(folder: Path) -> None:
    found = findings(folder, caption_strategy="filename")
    assert [(one.kind, one.fix) for one in found["stranger.png"]] == [("no trigger", "")]
    assert not [name for name in findings(folder, prepend_instance_prompt=True) if name == "stranger.png"]
    assert "stranger.png" not in findings(folder, is_regularisation_data=True)


def test_a_picture_is_left_out_without_being_touched(folder: Path) -> None:
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}
    unwanted = folder / "soft.png"
    (folder / chosen.LIST).write_text(chosen.text(folder, [unwanted]), encoding="utf-8")
    assert [(one.kind, one.fix) for one in findings(folder)["soft.png"]] == [("left out", "take back")]
    (folder / chosen.LIST).unlink()
    after = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}
    assert after == before and "blurred" in findings(folder)["soft.png"][0].kind


def test_the_same_file_at_two_sizes_is_named_once(folder: Path) -> None:
    asked = settings(
        *(
            dataset(folder, name, resolution=size, caption_strategy="textfile")
            for name, size in (("a", 256), ("b", 300))
        )
    )
    named = [(one.kind, Path(one.file).name) for one in doctor.examine(scan.look(asked), [])]
    assert named.count(("near-duplicate", "like good.jpg")) == named.count(("turned", "turned.jpg")) == 1
    assert named.count(("too small", "small.png")) == 2, "each size has its own sentence"


def test_ten_thousand_pictures_are_compared_in_seconds() -> None:
    dice = Random(0)
    picture = Picture(Path(), "set", "", (64, 64), (64, 64), (64, 64), (0, 0), "1.0", ("x",))
    pictures = [
        replace(picture, path=Path(f"{n}.png"), content=str(n), signs=Signs(f"{dice.getrandbits(256):064x}"))
        for n in range(10_000)
    ]
    pictures[-1] = replace(pictures[-1], signs=pictures[17].signs)
    start = time.monotonic()
    (twin,) = doctor._alike(pictures)
    assert (twin.file, time.monotonic() - start < 20) == ("9999.png", True)
    assert doctor._alike([]) == []


def test_tokens_are_counted_where_the_tokenizer_lies() -> None:
    clip, t5 = flux_encoders(PRACTICE, 32)
    assert clip.exact and t5.exact and (clip.limit, t5.limit) == (77, 32)
    assert clip.count(["a sks on a hill, large", ""]) == [14, 2]
    guessed, _ = flux_encoders("nobody/no-such-model", 512)
    assert not guessed.exact and guessed.count(["one two three four", ""]) == [7, 2]

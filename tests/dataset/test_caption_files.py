from __future__ import annotations

from pathlib import Path

import pytest

from tuner.dataset import caption_files, undo
from tuner.dataset.undo import Step
from tuner.errors import TunerError


@pytest.fixture
def step(tmp_path: Path) -> Step:
    return undo.begin(tmp_path / "history", "test")


def captioned(folder: Path, **texts: str | bytes) -> list[Path]:
    """Pictures in name only."""
    for name, text in texts.items():
        (folder / f"{name}.txt").write_bytes(text.encode() if isinstance(text, str) else text)
    return [folder / f"{name}.png" for name in texts]


def test_a_caption_is_read_and_written(tmp_path: Path, step: Step) -> None:
    latin, other = *captioned(tmp_path, latin=b"ein sch\xf6nes Haus\r\nzwei"), tmp_path / "other.png"
    assert caption_files.text_of(latin) == "ein schönes Haus\nzwei"
    assert caption_files.text_of(other) == ""
    assert caption_files.write(step, other, "  a 🐱 \n") and not caption_files.write(step, other, "a 🐱")
    assert other.with_suffix(".txt").read_bytes() == "a 🐱\n".encode()


def test_the_empty_ones(tmp_path: Path) -> None:
    full, blank = captioned(tmp_path, full="x", blank=" \n")
    missing, twin = tmp_path / "none.png", tmp_path / "none.jpg"
    assert caption_files.empty([full, blank, missing, twin]) == [blank, missing]


def test_the_trigger_is_added_where_it_is_missing(tmp_path: Path, step: Step) -> None:
    pictures = captioned(tmp_path, a="a dog", b="A SKS dog", c="one\n\nsks two\nthree", d=" ")
    assert caption_files.add_trigger(step, [*pictures, tmp_path / "none.png"], "sks") == 2
    assert [caption_files.text_of(one) for one in pictures] == [
        "sks a dog\n", "A SKS dog", "sks one\n\nsks two\nsks three\n", " ",
    ]  # fmt: skip
    assert not (tmp_path / "none.txt").exists()


def test_a_caption_of_several_lines_gets_it_once(tmp_path: Path, step: Step) -> None:
    (picture,) = captioned(tmp_path, a="one\ntwo")
    assert caption_files.add_trigger(step, [picture], "sks", one_per_file=True) == 1
    assert caption_files.text_of(picture) == "sks one\ntwo\n"


def test_find_and_replace(tmp_path: Path, step: Step) -> None:
    pictures = captioned(tmp_path, a="a (red) car", b="a Red car", c=b"a (red) caf\xe9")
    assert caption_files.replace(step, pictures, "(red)", "blue") == 2
    assert [caption_files.text_of(one).strip() for one in pictures] == [
        "a blue car",
        "a Red car",
        "a blue café",
    ]
    with pytest.raises(TunerError, match="nothing to find"):
        caption_files.replace(step, pictures, "", "x")
    undo.undo(step.journal.parent)
    assert pictures[2].with_suffix(".txt").read_bytes() == b"a (red) caf\xe9"


def test_a_caption_from_its_name() -> None:
    assert caption_files.from_name(Path("x/red__car on_hill.png")) == "red car on hill"
    assert caption_files.from_name(Path("red_car.png"), "sks") == "sks red car"
    assert caption_files.from_name(Path("sks_car.png"), "sks") == "sks car"

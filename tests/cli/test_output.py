"""What is written survives old consoles, and pictures arrive whole."""

import io
import sys
from argparse import ArgumentTypeError
from pathlib import Path

import pytest
from PIL import Image

from tuner.cli import output


def test_a_console_with_an_old_code_page_takes_any_letter(monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", console)
    output.write_any_letter()
    output.say("späce 日本.png")
    assert console.buffer.getvalue().decode("cp1252").strip() == r"späce \u65e5\u672c.png"


@pytest.mark.parametrize("name", ["a.png", "a.JPG", "ordner/bild.webp"])
def test_picture_names(name):
    assert output.picture_path(name) == Path(name)


@pytest.mark.parametrize("name", ["a", "a.safetensors", ".png"])
def test_names_that_are_no_pictures(name):
    with pytest.raises(ArgumentTypeError, match="sample.png"):
        output.picture_path(name)


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.png"
    output.save_picture(Image.new("RGB", (8, 8), "red"), path)
    before = path.read_bytes()
    with pytest.raises(OSError, match="cannot write mode"):
        output.save_picture(Image.new("F", (8, 8)), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]

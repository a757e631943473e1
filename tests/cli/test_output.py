"""What is written survives old consoles, and pictures arrive whole."""

import io
import json
import sys
from argparse import ArgumentTypeError, Namespace
from pathlib import Path

import pytest
from PIL import Image

from tuner.cli import output
from tuner.errors import Problem, SettingsInvalid


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


def test_problems_of_settings_stand_line_by_line_after_the_notes(capsys):
    wrong = SettingsInvalid(Problem("a.b", "b", 1, "One."), Problem("a.c", "c", 2, "Two."), notes=("Three.",))
    assert output.report_error(Namespace(json=True), wrong) == 2
    written = capsys.readouterr()
    assert written.err.splitlines() == ["Note: Three.", "One.", "Two."]
    record = json.loads(written.out)["error"]
    assert [problem["key"] for problem in record["problems"]] == ["b", "c"]
    assert record["notes"] == ["Three."]

"""The same picture at several strengths, side by side."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.training.test_drawing import folder as folder
from tests.training.test_exporting import finished, lora
from tuner.files.run_folder import RunFolder
from tuner.settings.run import RunSettings
from tuner.training import strip
from tuner.training.strip import STRENGTHS, draw_strip


def test_pictures_stand_in_a_row_below_their_titles() -> None:
    page = strip.strip([Image.new("RGB", (64, 32), colour) for colour in ("red", "blue")], ["0.4", "0.6"])
    assert page.size == (64 + 6 + 64, 32 + 28)
    assert (page.getpixel((10, 50)), page.getpixel((100, 50))) == ((255, 0, 0), (0, 0, 255))


def test_large_pictures_are_made_smaller() -> None:
    assert strip.strip([Image.new("RGB", (2048, 1024))], ["1.0"]).size == (512, 256 + 28)


def test_strength_changes_the_picture(
    settings: RunSettings, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = finished(settings, lora())
    path = draw_strip(one, "tree")
    assert path == folder.exports / "strengths-000007.png"
    with Image.open(path) as page:
        pixels = np.asarray(page.convert("RGB"), np.float32)[28:]
    width = (pixels.shape[1] + 6) // len(STRENGTHS)
    cells = [pixels[:, number * width : number * width + 96] for number in range(len(STRENGTHS))]
    far = [abs(cell - cells[0]).mean() for cell in cells]
    assert far == sorted(far) and far[1] > 0
    assert draw_strip(one).name == "strengths-000007-2.png"

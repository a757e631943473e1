from __future__ import annotations

import pytest
from PIL import Image

from tuner.ui.pictures import Shown
from tuner.ui.thumbnails import THUMBNAIL_PX, thumbnail


@pytest.fixture
def picture(tmp_path) -> Shown:
    path = tmp_path / "wide.png"
    Image.new("RGB", (900, 600), (120, 90, 120)).save(path)
    return Shown(path, "set", "abc", "a picture")


def test_a_small_copy_is_made_once(tmp_path, picture) -> None:
    folder = tmp_path / "thumbnails"
    small = thumbnail(picture, folder)
    made = small.stat().st_mtime_ns
    with Image.open(small) as opened:
        assert max(opened.size) == THUMBNAIL_PX
    assert thumbnail(picture, folder).stat().st_mtime_ns == made
    assert [path.name for path in folder.iterdir()] == [small.name]


def test_what_is_cut_off_is_darker(tmp_path, picture) -> None:
    """The middle square of a 900 x 600 picture, with a line around it."""
    with Image.open(thumbnail(picture, tmp_path)) as opened:
        assert opened.convert("L").getpixel((5, 100)) == opened.convert("L").getpixel((256, 100))
    cut = Shown(picture.path, "set", "abc", "", box=(1 / 6, 0, 5 / 6, 1))
    with Image.open(thumbnail(cut, tmp_path)) as opened:
        grey = opened.convert("L")
        assert grey.getpixel((5, 100)) < grey.getpixel((256, 100)) < grey.getpixel((85, 100))

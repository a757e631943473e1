from __future__ import annotations

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from tuner.ui.thumbnails import THUMBNAIL_PX, Shown, Thumbnails, thumbnail


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


def test_only_pictures_that_were_shown_are_served(tmp_path, picture) -> None:
    """Small copies, under an address that changes with what they show."""
    small = Thumbnails(tmp_path / "thumbnails")
    page = TestClient(Starlette(routes=[small.route]))
    assert page.get("/thumbnails/abc.webp").status_code == 404
    address = small.address(picture)
    answer = page.get(address)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    assert "immutable" in answer.headers["cache-control"]
    for other in ("/thumbnails/..%2Fwide.png", "/thumbnails/wide.png", "/thumbnails/"):
        assert page.get(other).status_code == 404
    picture.path.unlink()
    assert page.get(address).status_code == 404

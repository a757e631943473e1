"""The Images tab in a real browser: a ZIP is dropped, a caption is written, a fix is made and taken back."""

from __future__ import annotations

from zipfile import ZipFile

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import ENDED, screenshot, start_app

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    opened = start_app("tests/browser/play.py", tmp_path_factory.mktemp("images"))
    yield opened
    assert opened.close() == ENDED, opened.heard


@pytest.fixture
def archive(tmp_path):
    """Three pictures, of which one has a caption with the trigger word, and one has none."""
    path = tmp_path / "mine.zip"
    with ZipFile(path, "w") as opened:
        for number in range(3):
            Image.linear_gradient("L").rotate(90 * number).resize((640, 512)).save(tmp_path / f"{number}.png")
            opened.write(tmp_path / f"{number}.png", f"set/{number}.png")
        opened.writestr("set/0.txt", "sks one")
        opened.writestr("set/1.txt", "two")
    return path


def test_from_a_zip_to_captions(app, visit, archive) -> None:
    page = visit(app.address)
    expect(page.locator("#summary")).to_contain_text("10 images")
    page.locator("input[type=file]").first.set_input_files(archive)
    expect(page.locator("#arrived")).to_contain_text("3 pictures and 2 captions taken in.")
    expect(page.locator("#summary")).to_contain_text("2 images")
    (folder,) = (app.root / "pictures").iterdir()
    page.locator("#pictures .tile").nth(2).click()
    expect(page.locator("#picked")).to_contain_text("2.png (left out)")
    caption = page.get_by_label("What is to be seen")
    caption.fill("sks three")
    caption.press("Tab")
    expect(page.locator("#summary")).to_contain_text("3 images")
    assert (folder / "set" / "2.txt").read_text() == "sks three\n"
    page.locator("#pictures .tile").nth(1).click()
    expect(caption).to_have_value("two")
    screenshot(page, "images")
    page.get_by_role("button", name="Add the trigger word: 1.png").click()
    expect(page.locator("#findings")).not_to_contain_text("trigger word")
    assert (folder / "set" / "1.txt").read_text() == "sks two\n"
    page.get_by_role("button", name="Undo: Add the trigger word: 1.png").click()
    expect(page.locator("#findings")).to_contain_text("does not hold the trigger word 'sks'")
    expect(page.get_by_role("button", name="Undo: caption of 2.png")).to_be_visible()
    assert (folder / "set" / "1.txt").read_text() == "two"
    page.get_by_role("button", name="Undo: caption of 2.png").click()
    expect(page.locator("#summary")).to_contain_text("2 images")
    page.get_by_role("button", name="Let a model write captions").click()
    page.get_by_role("button", name="Caption the empty ones").click()
    expect(page.locator("#captioning")).to_contain_text("1 of 1 caption written.")
    expect(page.locator("#pictures")).to_contain_text("sks 2, <DETAILED_CAPTION>")

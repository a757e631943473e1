"""The Images tab in a real browser: a ZIP is dropped, a caption is written, a fix is made and taken back."""

from __future__ import annotations

import re
import time
from zipfile import ZipFile

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import ENDED, go, screenshot, start_app

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


NUM_PICTURES = 500


@pytest.fixture
def many(tmp_path):
    """500 pictures with captions, no two alike, and never looked at before."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(NUM_PICTURES):
        Image.effect_noise((320, 240), 80).save(folder / f"{number:03}.jpg")
        (folder / f"{number:03}.txt").write_text(f"sks number {number}", encoding="utf-8")
    return folder


@pytest.fixture
def player(tmp_path):
    """The app, which takes so many seconds for each picture of a large folder."""
    opened = []

    def start(seconds: str):
        opened.append(start_app("tests/browser/play.py", tmp_path / "root", PLAYER_LOOK_SECONDS=seconds))
        return opened[0]

    yield start
    assert opened[0].close() == ENDED, opened[0].heard


def use(page, folder) -> None:
    field = page.get_by_label("Folder with pictures")
    expect(field).to_be_editable()
    field.fill(str(folder))
    field.press("Enter")


def test_the_page_stays_usable_while_a_large_folder_is_looked_at(player, visit, many) -> None:
    """Other tabs answer, the count goes up, a start is refused in words; what was found shows by itself."""
    app = player("0.04")
    page = visit(app.address)
    use(page, many)
    looking = page.locator("#looking")
    expect(looking.get_by_role("progressbar")).to_be_visible()
    first = number_in(looking.inner_text())
    go(page, "Recipe")
    expect(page.locator("#sentence")).to_contain_text("The pictures are being looked at")
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_role("alert").filter(has_text="being looked at")).to_be_visible()
    go(page, "Runs")
    expect(page.locator("#runs")).to_contain_text("No runs yet")
    other = visit(app.address)
    expect(other.locator("#looking")).to_contain_text("of 500 pictures looked at")
    assert 0 < first < number_in(other.locator("#looking").inner_text()) <= NUM_PICTURES
    for each in (page, other):
        go(each, "Images")
        expect(each.locator("#summary")).to_contain_text("500 images, 500 captioned")
        expect(each.locator("#looking")).to_be_empty()
    go(page, "Recipe")
    expect(page.locator("#sentence")).to_contain_text("500 images")


def test_a_newer_folder_is_not_kept_waiting_by_an_older_one(player, visit, many) -> None:
    app = player("1")
    page = visit(app.address)
    use(page, many)
    expect(page.locator("#looking")).to_contain_text("of 500 pictures looked at")
    use(page, "tuner/practice/pictures")
    expect(page.locator("#summary")).to_contain_text("10 images")
    expect(page.locator("#looking")).to_be_empty()


def test_a_gallery_of_500_opens_in_two_seconds(player, visit, many) -> None:
    page = visit(player("0").address)
    use(page, many)
    expect(page.locator("#summary")).to_contain_text("500 images")
    expect(page.locator("#pictures .tile")).to_have_count(NUM_PICTURES)
    seconds = []
    for _ in range(3):
        page.reload()
        page.get_by_role("tab", name="Images", exact=True).wait_for()
        begun = time.monotonic()
        expect(page.locator("#pictures .tile")).to_have_count(NUM_PICTURES)
        page.wait_for_function("document.querySelector('#pictures img').naturalWidth > 0")
        seconds.append(time.monotonic() - begun)
    assert min(seconds) < 2, seconds
    last = page.locator("#pictures .tile").last
    assert not last.locator("img").evaluate("image => image.complete && image.naturalWidth > 0")
    last.click()
    expect(page.locator("#picked")).to_contain_text("499.jpg")
    expect(page.locator("#picked")).to_be_in_viewport()
    expect(page.locator("#picked img")).to_have_js_property("complete", True)
    screenshot(page, "images-500")


def number_in(words: str) -> int:
    return int(re.search(r"(\d+) of", words).group(1))

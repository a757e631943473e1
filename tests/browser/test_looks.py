"""How the page looks, and who can use it: axe on every tab, and the main job with nothing but the keyboard.

axe-core judges accessibility. It comes as the file inside the PyPI package axe-playwright-python, so that the
tests need neither node nor npm; it is used as it is, and by tests alone (its licence is MPL-2.0).
`SCREENS=FOLDER pytest tests/browser/test_looks.py` leaves a picture of every tab at both widths, light and
dark; `python -m tests.gallery FOLDER` joins them for the README.
"""

from __future__ import annotations

import json
import os
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import ENDED, go, screenshot, start_app
from tests.browser.made import begin

pytestmark = pytest.mark.browser

TABS = ("Images", "Recipe", "Train", "Results", "Runs", "Setup")
COMPUTER = {
    "vram_total_gb": 24.0,
    "vram_used_gb": 1.1,
    "ram_total_gb": 32.0,
    "ram_used_gb": 9.4,
    "gpu_name": "NVIDIA GeForce RTX 3090",
    "gpu_temperature": 61,
    "gpu_power": 180,
}
SIZES = [(1280, "light"), (390, "dark"), (1280, "dark"), (390, "light")]
if not os.environ.get("SCREENS"):
    SIZES = SIZES[:2]  # each width and each theme once
MOST_STOPS = 150
FOLD = "button.label-wrap:visible:not(.open)"
SMALL_FOLD = ":not(.settings) > button.label-wrap:visible:not(.open)"
"""Without the groups of the expert form."""


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    root = tmp_path_factory.mktemp("looks")
    computer = root / "computer.json"
    computer.write_text(json.dumps(COMPUTER), encoding="utf-8")
    opened = start_app("tests/browser/play.py", root, options=["--machine", str(computer)])
    yield opened
    assert opened.close() == ENDED, opened.heard


@pytest.fixture
def visit_filled(app, visit):
    """Opens the page of an app that has something on every tab: one run is finished, one failed, one goes on,
    one waits.
    """
    if not (app.root / "runs" / "waits").exists():
        page = visit(app.address)
        begin(app, page, "little-house", 400)
        expect(page.locator("#strip")).to_contain_text("Finished")
        begin(app, page, "fail", 20)
        page.locator(".trouble").get_by_role("button", name="Close").click()
        begin(app, page, "goes-on", 8000)
        go(page, "Recipe")
        practice(page)
        page.get_by_label("Name of this run").fill("waits")
        page.get_by_role("button", name="Add to queue").click()
        expect(page.get_by_text("'waits' waits").first).to_be_visible()
        page.close()
    return lambda width, theme: visit(app.address, width=width, theme=theme)


def practice(page: Page) -> None:
    """The one preset whose model is there."""
    card = page.locator('.card[data-act="practice"]')
    card.click()
    expect(card).to_have_attribute("aria-pressed", "true")


def open_folds(page: Page, fold: str) -> None:
    """Every such fold of this tab, those inside others too."""
    while page.locator(fold).count():
        page.locator(fold).first.click()
        page.wait_for_timeout(300)
    page.wait_for_timeout(1500)


def violations(page: Page) -> list[str]:
    """What keeps somebody from using the page: the rule, the first place, and what axe says of it."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0]['failureSummary']}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(("width", "theme"), SIZES)
def test_axe_finds_nothing_serious_on_any_tab(visit_filled, width, theme) -> None:
    page = visit_filled(width, theme)
    for tab in TABS:
        go(page, tab)
        page.wait_for_timeout(1500)
        screenshot(page, f"{tab.lower()}-{theme}-{width}", whole=True)
        open_folds(page, FOLD if (width, theme) == SIZES[0] else SMALL_FOLD)
        assert violations(page) == [], tab
        assert page.evaluate("document.documentElement.scrollWidth") <= width, tab


def test_axe_finds_nothing_serious_before_the_first_run(tmp_path, visit) -> None:
    app = start_app("tests/browser/play.py", tmp_path)
    page = visit(app.address, width=390)
    for tab in TABS:
        go(page, tab)
        page.wait_for_timeout(1500)
        assert violations(page) == [], tab
    page.close()
    assert app.close() == ENDED, app.heard


def test_the_main_job_with_the_keyboard_alone(tmp_path, visit) -> None:
    app = start_app("tests/browser/play.py", tmp_path)
    page = visit(app.address)
    press(page, page.get_by_role("tab", name="Recipe", exact=True))
    card = page.locator('.card[data-act="practice"]')
    press(page, card)
    expect(card).to_have_attribute("aria-pressed", "true")
    press(page, page.locator("#start"))
    expect(page.get_by_role("tab", name="Train", exact=True)).to_have_attribute("aria-selected", "true")
    expect(page.locator("#strip")).to_contain_text("Running")
    press(page, page.get_by_role("button", name="Stop and save"))
    expect(page.locator("#strip")).to_contain_text("Stopped")
    press(page, page.get_by_role("tab", name="Runs", exact=True))
    press(page, page.get_by_role("button", name=re.compile("^Continue")))
    expect(page.locator("#strip")).to_contain_text("Running")
    page.close()
    assert app.close() == ENDED, app.heard


def press(page: Page, wanted: Locator) -> None:
    """Go there with the Tab key, see where one is, and press Enter."""
    expect(wanted).to_be_enabled()
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        if wanted.evaluate("one => one === document.activeElement"):
            break
    expect(wanted).to_have_css("outline-width", "2px")
    expect(wanted).to_have_css("outline-style", "solid")
    page.keyboard.press("Enter")

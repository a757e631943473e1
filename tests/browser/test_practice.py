"""The practice run by clicks, with the real model: from the first page to a file for ComfyUI.

`SCREENS=docs pytest tests/browser/test_practice.py` trains all steps and makes the README's picture.
"""

from __future__ import annotations

import os
import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ENDED, exact, go, screenshot, start_app

pytestmark = pytest.mark.browser

STEPS = None if os.environ.get("SCREENS") else 12
TRAINING_MS = 400_000


@pytest.fixture
def app(tmp_path):
    opened = start_app("app.py", tmp_path / "ünï cöde")
    yield opened
    assert opened.close() == ENDED, opened.heard


def test_from_the_first_page_to_a_file(app, visit) -> None:
    assert app.heard[0] == "FluxTuner is opening ..."
    page = visit(app.address)
    expect(page.get_by_text("10 images, 10 captioned, 1 bucket, 0 left out")).to_be_visible()
    expect(page.get_by_text("a sks on a green background").first).to_be_visible()

    go(page, "Recipe")
    expect(page.get_by_role("button", name="Practice")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#sentence")).to_contain_text(
        re.compile(r"10 images × \d+ passes = \d+ steps of 4 images")
    )
    if STEPS:
        exact(page, "Number of steps").fill(str(STEPS))
    page.get_by_role("button", name="Start training").click()

    expect(page.get_by_role("tab", name="Train", exact=True)).to_have_attribute("aria-selected", "true")
    expect(page.locator("#progress").get_by_role("progressbar")).to_be_visible()
    expect(page.locator("#progress")).to_contain_text("Read the captions")
    expect(page.locator("#samples")).to_contain_text("Before")
    expect(page.locator("#progress")).to_contain_text(re.compile(r"Loss \(smoothed\)0\.\d"))
    expect(page.locator("#curve canvas, #curve svg.marks").first).to_be_visible()
    if not STEPS:
        expect(page.locator("#samples").get_by_role("row")).to_have_count(5, timeout=TRAINING_MS)
        screenshot(page, "screenshot")

    other = visit(app.address)
    expect(other.locator("#strip")).to_contain_text("practice")
    page.reload()
    expect(page.locator("#strip")).to_contain_text("practice")

    expect(page.locator("#strip")).to_contain_text("Finished", timeout=TRAINING_MS)
    expect(other.locator("#strip")).to_contain_text("Finished")

    go(page, "Results")
    expect(page.locator("#slider img")).to_have_count(2)
    page.get_by_role("button", name="Send to ComfyUI").click()
    expect(page.locator("#exported")).to_contain_text("Your LoRA is ready.")
    expect(page.locator("#exported")).to_contain_text("sks")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the file").click()
    assert download.value.suggested_filename.endswith(".safetensors")
    assert download.value.path().stat().st_size > 500_000
    screenshot(page, "results")

    go(page, "Runs")
    expect(page.locator("#runs")).to_contain_text("Finished")

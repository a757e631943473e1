"""The Recipe tab on computers that are described in a file."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ENDED, go, screenshot, start_app

pytestmark = pytest.mark.browser

COMPUTER = {
    "vram_total_gb": 10.7,
    "vram_used_gb": 0.6,
    "ram_total_gb": 17,
    "ram_used_gb": 5,
    "gpu_name": "NVIDIA GeForce RTX 3080",
}


def test_the_preset_for_the_card_is_chosen_and_named_after_it(tmp_path, visit) -> None:
    file = tmp_path / "computer.json"
    file.write_text(json.dumps(COMPUTER), encoding="utf-8")
    app = start_app("app.py", tmp_path / "root", options=["--machine", str(file)])
    page = visit(app.address)
    expect(page.locator("#gauges")).to_contain_text("RTX 3080")
    go(page, "Recipe")
    mine = page.locator('.card[aria-pressed="true"]')
    expect(mine).to_have_attribute("data-act", "10gb-nf4")
    expect(mine).to_contain_text("for your NVIDIA GeForce RTX 3080")
    expect(mine.locator(".state")).to_have_text("fits")
    expect(page.locator('.card[data-act="24gb-int8"] .state')).to_have_text("tight")
    expect(page.locator('.card[data-act="80gb-bf16"] .state')).to_have_text("will not fit")
    screenshot(page, "ladder")
    assert app.close() == ENDED, app.heard

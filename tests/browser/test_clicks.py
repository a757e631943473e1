"""The main job by clicks, with the real practice model: from the first start to two LoRAs in ComfyUI.

A click or pick counts 1, a text field 1, dropped files 1; typing is free. The number of steps is lowered in a
second browser tab, which is no part of the job, so that the test does not take minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import ENDED, exact, go, screenshot, start_app

pytestmark = pytest.mark.browser

FIRST, SECOND = 7, 4
"""No more clicks than this."""
STEPS = 4
TRAINING_MS = 300_000


@dataclass
class Hand:
    """What a user does, and how often."""

    page: Page
    done: list[str] = field(default_factory=list)

    def click(self, button: Locator) -> None:
        self.done.append(f"click {button}")
        button.click()

    def type(self, box: Locator, words: str) -> None:
        self.done.append(f"type {words}")
        box.fill(words)

    def drop(self, files: Sequence[Path]) -> None:
        self.done.append(f"drop {len(files)} files")
        self.page.locator("input[type=file]").first.set_input_files(files)


@pytest.fixture
def comfyui(tmp_path) -> Path:
    """A folder that looks like a ComfyUI, in the user's home. -> where it keeps LoRAs"""
    loras = tmp_path / "home" / "ComfyUI" / "models" / "loras"
    loras.mkdir(parents=True)
    (tmp_path / "home" / "ComfyUI" / "main.py").touch()
    return loras


@pytest.fixture
def app(tmp_path, comfyui):
    home = str(tmp_path / "home")
    opened = start_app("app.py", tmp_path / "root", welcomed=False, HOME=home, USERPROFILE=home)
    yield opened
    assert opened.close() == ENDED, opened.heard


@pytest.fixture
def photos(tmp_path) -> list[Path]:
    made = []
    for number in range(3):
        made.append(tmp_path / f"photo {number}.jpg")
        Image.radial_gradient("L").rotate(90 * number).resize((96 + 8 * number, 96)).save(made[-1])
    return made


def shorten(page: Page, num_pictures: int) -> None:
    go(page, "Recipe")
    expect(page.locator("#sentence")).to_contain_text(f"{num_pictures} images")
    exact(page, "Number of steps").fill(str(STEPS))
    exact(page, "Number of steps").press("Enter")
    expect(page.locator("#sentence")).to_contain_text(f"= {STEPS} steps")


def arrived(loras: Path, page: Page, run: str) -> list[str]:
    """The LoRAs in ComfyUI once the page says that this run's is there."""
    go(page, "Results")
    expect(page.locator("#exported")).to_contain_text(f"{run}-00000{STEPS}", timeout=TRAINING_MS)
    expect(page.locator("#exported")).to_contain_text("Sent to", timeout=TRAINING_MS)
    go(page, "Recipe")
    return sorted(path.name for path in loras.glob("*.safetensors"))


def test_the_main_job_takes_few_clicks(app, visit, comfyui, photos) -> None:
    page, aside = visit(app.address), visit(app.address)
    hand = Hand(page)
    expect(page.get_by_role("button", name="✓ 2. Base model: the practice model")).to_be_visible()
    expect(page.locator("#comfyui")).to_contain_text(str(comfyui))
    screenshot(page, "setup-first")
    hand.click(page.get_by_label("Send every finished LoRA there by itself"))
    hand.click(page.get_by_role("button", name="Go to your pictures"))
    hand.drop(photos[:2])
    expect(page.locator("#summary")).to_contain_text("2 images")
    hand.type(page.get_by_label("Trigger word"), "zorg")
    shorten(aside, 2)
    hand.click(page.locator("#train-here"))
    expect(page.get_by_role("tab", name="Train", exact=True)).to_have_attribute("aria-selected", "true")
    assert len(arrived(comfyui, aside, "practice")) == 1
    assert len(hand.done) <= FIRST, hand.done

    hand = Hand(page)
    hand.click(page.get_by_role("button", name="New LoRA"))
    expect(page.locator("#summary")).to_contain_text("No pictures yet")
    hand.drop(photos[2:])
    expect(page.locator("#summary")).to_contain_text("1 image")
    hand.type(page.get_by_label("Trigger word"), "blip")
    hand.click(page.locator("#train-here"))
    assert len(arrived(comfyui, aside, "practice-2")) == 2
    assert len(hand.done) <= SECOND, hand.done


def test_without_that_wish_the_way_leads_over_results(app, visit, comfyui, photos) -> None:
    page, aside = visit(app.address), visit(app.address)
    hand = Hand(page)
    hand.click(page.get_by_role("button", name="Go to your pictures"))
    hand.drop(photos)
    expect(page.locator("#summary")).to_contain_text("3 images")
    hand.type(page.get_by_label("Trigger word"), "zorg")
    shorten(aside, 3)
    hand.click(page.locator("#train-here"))
    expect(page.locator("#strip")).to_contain_text("Finished", timeout=TRAINING_MS)
    hand.click(page.get_by_role("tab", name="Results", exact=True))
    hand.click(page.get_by_role("button", name="Send to ComfyUI"))
    expect(page.locator("#exported")).to_contain_text("Sent to", timeout=TRAINING_MS)
    assert len(list(comfyui.glob("*.safetensors"))) == 1
    assert len(hand.done) <= FIRST, hand.done

"""Setup at the first start of a computer with a card: what is red, files that are found, a token, a download.

The card is described in a file, and Hugging Face is a server of our own.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import ENDED, go, screenshot, start_app
from tests.hub import conftest as hub_files
from tests.hub.conftest import TOKEN, hub  # noqa: F401 - the fixture
from tests.hub.test_found import BFL, write

pytestmark = pytest.mark.browser

COMPUTER = {
    "vram_total_gb": 24,
    "vram_used_gb": 0.6,
    "ram_total_gb": 32,
    "ram_used_gb": 6,
    "gpu_name": "NVIDIA GeForce RTX 3090",
    "disk_free_gb": 300,
}
DEV = "black-forest-labs/FLUX.1-dev"
WIDE = {0: [12288, 3072], 2: [3072, 12288]}
"""Of a feed-forward layer: enough of them, and the file is as large as a model."""
BLOCKS = {
    f"double_blocks.{number}.{stream}_mlp.{layer}.weight": shape
    for number in range(19)
    for stream in ("img", "txt")
    for layer, shape in WIDE.items()
}


@pytest.fixture
def flux(tmp_path) -> Path:
    """A FLUX.1 in a ComfyUI in the user's home, all header and holes."""
    (tmp_path / "home" / "ComfyUI" / "models" / "loras").mkdir(parents=True)
    (tmp_path / "home" / "ComfyUI" / "main.py").touch()
    models = tmp_path / "home" / "ComfyUI" / "models" / "diffusion_models"
    return write(models / "flux1-dev.safetensors", BFL | BLOCKS)


@pytest.fixture
def app(tmp_path, flux, hub, monkeypatch):  # noqa: F811
    monkeypatch.setattr(hub_files, "REPOSITORY", DEV)
    hub.gated = hub.slow = True
    hub.files = {"model_index.json": b"{}", "vae/config.json": b"{}"}
    for part in ("text_encoder", "text_encoder_2", "vae"):
        hub.files[f"{part}/model.safetensors"] = weights(tmp_path / f"{part}.safetensors")
    computer = tmp_path / "computer.json"
    computer.write_text(json.dumps(COMPUTER), encoding="utf-8")
    home = str(tmp_path / "home")
    opened = start_app(
        "tests/browser/play.py",
        tmp_path / "root",
        welcomed=False,
        options=["--machine", str(computer)],
        HOME=home,
        USERPROFILE=home,
    )
    yield opened
    assert opened.close() == ENDED, opened.heard


def weights(path: Path) -> bytes:
    """Of 60 MB, so that it has a bar."""
    return write(path, {"a": [5000, 6000]}).read_bytes()


def test_three_steps_to_a_model_that_was_found(app, visit, flux, tmp_path) -> None:
    page = visit(app.address)
    step = page.get_by_role("button")

    expect(step.filter(has_text="● 1. Your computer: 1 thing to mend (needs you)")).to_be_visible()
    row = page.locator("#doctor tr").filter(has_text="PyTorch")
    expect(row.locator("code")).to_have_text(re.compile("install"))
    row.get_by_role("button", name="Copy command").click()
    expect(row.get_by_text("Copied")).to_be_visible()
    screenshot(page, "setup-computer")
    page.get_by_role("button", name="Next: Base model").click()

    expect(step.filter(has_text="● 2. Base model: FLUX.1 [dev] is not here yet (needs you)")).to_be_visible()
    expect(page.get_by_label("FLUX.1 files that are on this computer")).to_be_checked()
    found = page.locator("#found tr").filter(has_text=str(flux))
    expect(found).to_contain_text(re.compile(r"FLUX.1 \[dev\].*5.\d GB.*bf16"))
    found.get_by_role("button", name="Use").click()
    expect(page.locator("#base-model")).to_contain_text("Not here yet: text_encoder, text_encoder_2, vae")
    screenshot(page, "setup-model")

    page.get_by_role("button", name="Check the access").click()
    expect(page.locator("#ticks")).to_contain_text("The licence of")
    page.locator("input[type=password]").fill(TOKEN)
    page.get_by_role("button", name="Try and keep the token").click()
    expect(page.locator("#ticks")).to_contain_text("Hugging Face knows you as 'painter'")
    expect(page.locator("input[type=password]")).to_have_value("")
    page.get_by_role("button", name="Download", exact=True).click()
    expect(page.locator("#downloads").get_by_role("progressbar")).to_have_count(3)
    expect(step.filter(has_text="✓ 2. Base model: FLUX.1 [dev]")).to_be_visible()

    page.get_by_role("button", name="Go to your pictures").click()
    expect(page.locator("#summary")).to_contain_text("No pictures yet")
    go(page, "Recipe")
    expect(page.locator('.card[aria-pressed="true"]')).to_have_attribute("data-act", "24gb-int8")
    stored = [path for path in (tmp_path / "hf").rglob("*") if path.is_file() and said(path)]
    assert {path.name for path in stored} <= {"token", "stored_tokens"} and stored
    assert not [path for path in app.root.rglob("*") if path.is_file() and said(path)]
    assert TOKEN not in page.content() and not any(TOKEN in line for line in app.heard)


def said(path: Path) -> bool:
    return TOKEN.encode() in path.read_bytes()


def test_the_practice_model_is_one_pick_and_own_pictures_outlive_it(app, visit, tmp_path) -> None:
    """Nor does the token of a library that knows one end in a run's files."""
    (tmp_path / "hf").mkdir(exist_ok=True)
    (tmp_path / "hf" / "token").write_text(TOKEN)
    page = visit(app.address)
    page.get_by_role("button", name="Next: Base model").click()
    page.get_by_label("the practice model").click()
    expect(page.get_by_role("button", name="Go to your pictures")).to_be_visible()
    page.get_by_role("button", name="Go to your pictures").click()
    expect(page.locator("#summary")).to_contain_text("10 images")
    Image.new("RGB", (640, 480), "teal").save(tmp_path / "mine.png")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "mine.png")
    expect(page.locator("#summary")).to_contain_text("1 image,")
    page.locator("#train-here").click()
    expect(page.locator("#strip")).to_contain_text("practice")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("#strip")).to_contain_text("Stopped")
    assert (app.root / "runs" / "practice" / "events.jsonl").is_file()
    assert not [path for path in app.root.rglob("*") if path.is_file() and said(path)]

    go(page, "Setup")
    page.get_by_role("button", name="2. Base model").click()
    page.get_by_label("FLUX.1 files that are on this computer").click()
    page.locator("#found").get_by_role("button", name="Use").click()
    go(page, "Images")
    expect(page.locator("#summary")).to_contain_text("1 image,")
    go(page, "Recipe")
    expect(page.locator('.card[aria-pressed="true"]')).to_have_attribute("data-act", "24gb-int8")

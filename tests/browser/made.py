"""Runs that are made on disk instead of on the Recipe tab, and begun on the Runs tab."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import App, go
from tuner import presets
from tuner.files.run_folder import RunFolder


def make(root: Path, name: str, steps: int) -> RunFolder:
    """The practice recipe, as a run that was not begun yet."""
    folder = RunFolder(root / "runs" / name)
    change = {"saving.output_dir": str(folder.path), "optimization.max_train_steps": steps}
    presets.apply("practice", folder.config, change)
    return folder


def begin(app: App, page: Page, name: str, steps: int) -> RunFolder:
    """Make a run and begin it; the page then shows the Train tab."""
    folder = make(app.root, name, steps)
    go(page, "Setup")
    go(page, "Runs")
    page.get_by_role("button", name=f"Start {name}", exact=True).click()
    expect(page.locator("#strip")).to_contain_text(name)
    return folder

"""The Runs and Setup tabs in a real browser: queue, deletion, a foreign recipe, the very first start."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ENDED, exact, go, screenshot, start_app
from tests.browser.test_page import start, stop
from tests.files.importers.test_catalog import AI_TOOLKIT

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    opened = start_app("tests/browser/play.py", tmp_path_factory.mktemp("runs"), welcomed=False)
    yield opened
    assert opened.close() == ENDED, opened.heard


def enqueue(page, name: str, steps: int) -> None:
    go(page, "Recipe")
    page.get_by_label("Name of this run").fill(name)
    exact(page, "Number of steps").fill(str(steps))
    page.get_by_role("button", name="Add to queue").click()


def test_the_very_first_start_opens_setup_and_never_again(app, visit) -> None:
    page = visit(app.address)
    expect(page.get_by_role("tab", name="Setup", exact=True)).to_have_attribute("aria-selected", "true")
    expect(page.locator("#doctor")).to_contain_text("Python")
    expect(page.locator("#tried")).to_contain_text("int8 layer")
    page.reload()
    expect(page.get_by_role("tab", name="Images", exact=True)).to_have_attribute("aria-selected", "true")


def test_runs_wait_go_in_turn_and_are_deleted_by_name(app, visit) -> None:
    page = visit(app.address)
    page.wait_for_timeout(1000)
    start(page, "now", 3000)
    for name in ("fail", "later"):
        enqueue(page, name, 5)
    go(page, "Runs")
    page.get_by_role("button", name="Up: later").click()
    expect(page.locator("#queue tbody tr").first).to_contain_text("later")
    screenshot(page, "queue")
    stop(page)
    page.locator("#queue").get_by_role("button", name="Go on").click()
    row = page.locator("#runs tr")
    expect(row.filter(has_text="later")).to_contain_text("Finished")
    expect(row.filter(has_text="fail")).to_contain_text("Failed")
    page.get_by_role("button", name="Delete later").click()
    page.get_by_label("Type “later” to delete it").fill("later")
    page.get_by_role("button", name="Delete it for good").click()
    expect(row.filter(has_text="later")).to_have_count(0)
    assert not (app.root / "runs" / "later").exists()


def test_a_finished_run_is_trained_on(app, visit) -> None:
    page = visit(app.address)
    page.wait_for_timeout(1000)
    start(page, "more", 5)
    expect(page.locator("#strip")).to_contain_text("Finished")
    go(page, "Runs")
    page.get_by_role("button", name="Train on more").click()
    expect(page.get_by_label("Train “more” on up to")).to_have_value("10")
    page.get_by_role("button", name="Go on", exact=True).click()
    expect(page.locator("#strip")).to_contain_text("Step 10 of 10")


def test_the_file_of_another_trainer_is_dropped(app, visit, tmp_path) -> None:
    (tmp_path / "job.yaml").write_text(AI_TOOLKIT, encoding="utf-8")
    page = visit(app.address)
    go(page, "Runs")
    page.get_by_role("button", name="Open the configuration of another trainer").click()
    page.locator("#foreign input[type=file]").set_input_files(tmp_path / "job.yaml")
    expect(page.locator("#opened")).to_contain_text("flip_x")
    screenshot(page, "imported")
    page.locator("#opened").get_by_role("button", name="Go to the recipe").click()
    expect(page.get_by_label("Name of this run")).to_have_value("my_first_flux_lora_v1")

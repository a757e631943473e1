"""The page itself, with a trainer that only plays: trouble, stopping, other tabs, a phone."""

from __future__ import annotations

import os
import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ENDED, exact, go, screenshot, start_app

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    opened = start_app("tests/browser/play.py", tmp_path_factory.mktemp("page"))
    yield opened
    assert opened.close() == ENDED, opened.heard


def start(page, name: str, steps: int) -> None:
    go(page, "Recipe")
    page.get_by_label("Name of this run").fill(name)
    exact(page, "Number of steps").fill(str(steps))
    page.get_by_role("button", name="Start training").click()
    expect(page.locator("#strip")).to_contain_text(name)


def stop(page) -> None:
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("#strip")).to_contain_text("Stopped")


def test_what_is_typed_survives_a_reload_and_shows_in_another_tab(app, visit) -> None:
    page = visit(app.address)
    go(page, "Recipe")
    exact(page, "Learning rate").fill("0.001")
    exact(page, "Learning rate").press("Enter")
    page.get_by_role("button", name="Expert").click()
    expect(page.locator("#differs")).to_contain_text("0.001")
    page.reload()
    for each in (page, visit(app.address)):
        go(each, "Recipe")
        expect(exact(each, "Learning rate")).to_have_value("0.001")


def test_every_setting_can_be_reached_and_changed(app, visit) -> None:
    page = visit(app.address)
    go(page, "Recipe")
    page.get_by_role("button", name="Expert").click()
    page.get_by_role("button", name=re.compile("^Learning")).click()
    warm_up = page.get_by_label("Warm-up", exact=True)
    warm_up.wait_for()
    page.wait_for_timeout(1000)  # a field that was just drawn is not listened to yet
    warm_up.fill("7")
    warm_up.press("Enter")
    page.get_by_label("Batch size", exact=True).fill("2")
    page.get_by_label("Batch size", exact=True).press("Enter")
    expect(page.locator("#sentence")).to_contain_text("steps of 2 images")
    expect(page.locator("#differs")).to_contain_text(re.compile("Warm-up.*20.*7"))
    page.get_by_role("button", name="Practice").click()
    expect(page.locator("#sentence")).to_contain_text("steps of 4 images")


def test_a_stopped_run_goes_on_with_one_click(app, visit) -> None:
    page = visit(app.address)
    start(page, "halves", 3000)
    expect(page.locator("#progress")).to_contain_text("step")
    stop(page)
    go(page, "Runs")
    page.get_by_role("button", name="Continue halves").click()
    expect(page.locator("#strip")).to_contain_text("Running")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#strip")).to_contain_text("Paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#strip")).to_contain_text("Running")
    stop(page)


def test_sample_now_and_the_log(app, visit) -> None:
    page = visit(app.address)
    start(page, "sampled", 3000)
    page.get_by_role("button", name="Sample now").click()
    expect(page.locator("#samples").get_by_role("row")).to_have_count(3)
    page.get_by_role("button", name=re.compile("^Log")).click()
    expect(page.get_by_role("log")).to_contain_text("SampleReady")
    stop(page)


def test_a_failed_run_shows_what_to_do_and_does_it(app, visit) -> None:
    page = visit(app.address)
    start(page, "fail", 20)
    card = page.get_by_role("alert").filter(has_text="not a number")
    expect(card).to_be_visible()
    screenshot(page, "failed")
    card.get_by_role("button", name="Apply").click()
    expect(card).to_be_hidden()
    go(page, "Recipe")
    expect(exact(page, "Learning rate")).to_have_value("0.00001")
    page.get_by_role("button", name="Practice").click()


def test_a_refused_start_says_why(app, visit) -> None:
    page = visit(app.address)
    go(page, "Recipe")
    exact(page, "Rank of the LoRA").fill("0")
    page.get_by_role("button", name="Start training").click()
    card = page.get_by_role("alert").filter(has_text="lora_rank")
    expect(card).to_be_visible()
    card.get_by_role("button", name="Close").click()
    expect(card).to_be_hidden()


def test_a_folder_that_is_not_there(app, visit) -> None:
    page = visit(app.address)
    folder = page.get_by_label("Folder with pictures")
    expect(folder).to_have_value("tuner/practice/pictures")
    folder.fill("/nowhere/at all")
    folder.press("Enter")
    expect(page.locator("#summary")).to_contain_text("/nowhere/at all")
    folder.fill("tuner/practice/pictures")
    folder.press("Enter")
    expect(page.locator("#summary")).to_contain_text("10 images")


def test_closing_the_app_saves_the_run_and_it_goes_on_after_a_restart(tmp_path, visit) -> None:
    first = start_app("tests/browser/play.py", tmp_path)
    page = visit(first.address)
    start(page, "night", 3000)
    expect(page.locator("#progress")).to_contain_text("step")
    page.close()
    assert first.close() == ENDED, first.heard
    if os.name == "posix":
        assert "Saving the run 'night' ..." in first.heard
        assert len(list((tmp_path / "runs" / "night").glob("checkpoint-*"))) == 1

    second = start_app("tests/browser/play.py", tmp_path)
    page = visit(second.address)
    go(page, "Runs")
    page.get_by_role("button", name="Continue night").click()
    expect(page.locator("#strip")).to_contain_text("Running")
    stop(page)
    page.close()
    second.close()

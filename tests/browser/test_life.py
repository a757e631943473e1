"""A run lives longer than the pages that show it, and than the app itself."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ENDED, go, screenshot, start_app
from tests.browser.made import begin, make
from tests.browser.test_page import stop

pytestmark = pytest.mark.browser

EARS = """
window.heard = [];
window.Notification = class {
  static permission = 'granted';
  constructor(title, {body}) { window.heard.push(body); }
};
window.AudioContext = class extends AudioContext {
  constructor() { super(); window.heard.push('sound'); }
};
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    opened = start_app("tests/browser/play.py", tmp_path_factory.mktemp("life"))
    yield opened
    assert opened.close() == ENDED, opened.heard


def step_of(page) -> int:
    found = re.search(r"Step (\d+) of", page.locator("#strip").inner_text())
    return int(found[1]) if found else 0


def test_a_run_goes_on_without_any_page_and_every_page_shows_it(app, visit) -> None:
    page = visit(app.address)
    begin(app, page, "long", 3000)
    expect(page.locator("#strip")).to_contain_text("Step")
    page.reload()
    expect(page.get_by_role("tab", name="Train", exact=True)).to_have_attribute("aria-selected", "true")
    second = visit(app.address)
    expect(second.locator("#progress")).to_contain_text("“long”: step")
    expect(page.locator("#heartbeat")).to_contain_text("Last sign of life")
    seen = step_of(second)
    page.close()
    second.close()
    back = visit(app.address)
    expect(back.locator("#strip")).to_contain_text("Running")
    back.wait_for_function(
        f"Number(document.querySelector('#strip').innerText.match(/Step (\\d+)/)?.[1]) > {seen}"
    )
    expect(back.locator("#curve canvas, #curve svg").first).to_be_visible()
    stop(back)


@pytest.mark.parametrize("in_queue", [False, True], ids=["started", "queued"])
def test_a_killed_app_tells_the_truth_and_one_click_goes_on(tmp_path, visit, in_queue) -> None:
    if in_queue:
        make(tmp_path, "night", 3000)
        (tmp_path / "runs" / "queue.json").write_text('["night"]', encoding="utf-8")
    first = start_app("tests/browser/play.py", tmp_path, PLAYER_STEP_SECONDS="0.02")
    page = visit(first.address)
    if in_queue:
        go(page, "Runs")
        page.locator("#queue").get_by_role("button", name="Go on").click()
    else:
        begin(first, page, "night", 3000)
    expect(page.locator("#strip")).to_contain_text(re.compile("Step [2-9][0-9]{2}"))
    page.close()
    first.process.kill()
    first.process.communicate()
    saved = max(int(path.name.split("-")[1]) for path in (tmp_path / "runs" / "night").glob("checkpoint-*"))
    lines = (tmp_path / "runs" / "night" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    step = max(event["step"] for event in map(json.loads, lines) if event["event"] == "StepDone")

    second = start_app("tests/browser/play.py", tmp_path)
    page = visit(second.address)
    expect(page.get_by_role("tab", name="Train", exact=True)).to_have_attribute("aria-selected", "true")
    progress = page.locator("#progress")
    expect(progress).to_contain_text(f"broke off, because FluxTuner or the computer went off, at step {step}")
    expect(progress).to_contain_text(f"goes on after step {saved}")
    screenshot(page, f"killed-{'queued' if in_queue else 'started'}")
    progress.get_by_role("button", name="Continue night").click()
    expect(page.locator("#strip")).to_contain_text("Running")
    expect(progress).to_contain_text("“night”: step")
    assert step_of(page) >= saved
    stop(page)
    page.close()
    second.close()


def test_a_pause_goes_on_at_the_same_step(app, visit) -> None:
    page = visit(app.address)
    begin(app, page, "paused", 3000)
    expect(page.locator("#strip")).to_contain_text("Step")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#progress")).to_contain_text("is paused at step")
    at = step_of(page)
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#progress")).to_contain_text("“paused”: step")
    events = [
        json.loads(line)
        for line in (app.root / "runs" / "paused" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    where = [one["step"] for one in events if one["event"] in ("Paused", "Resumed")]
    assert where == [at, at]
    stop(page)


def test_the_end_is_told_once_by_sound_and_notice(app, visit) -> None:
    page, second = visit(app.address), visit(app.address)
    page.context.add_init_script(EARS)
    page.reload()
    second.reload()
    begin(app, page, "short", 20)
    expect(page.locator("#strip")).to_contain_text("Finished")
    expect(second.locator("#strip")).to_contain_text("Finished")
    page.wait_for_timeout(1500)
    heard = page.evaluate("heard") + second.evaluate("heard")
    assert sorted(heard) == ["sound", "“short” is finished."]


def test_a_failure_is_told_too_and_the_switch_turns_it_off(app, visit) -> None:
    page = visit(app.address)
    page.context.add_init_script(EARS)
    page.reload()
    begin(app, page, "fail", 20)
    expect(page.locator("#strip")).to_contain_text("Failed")
    page.wait_for_function("heard.length == 2")
    assert sorted(page.evaluate("heard")) == ["sound", "“fail” failed."]
    page.get_by_label("Sound and notice at the end").uncheck()
    page.reload()
    expect(page.get_by_label("Sound and notice at the end")).not_to_be_checked()
    begin(app, page, "silent", 5)
    expect(page.locator("#strip")).to_contain_text("Finished")
    page.wait_for_timeout(1500)
    assert page.evaluate("heard") == []


def test_the_title_of_the_browser_tab_tells_how_far_it_is(app, visit) -> None:
    page = visit(app.address)
    begin(app, page, "titled", 200)
    page.wait_for_function("/^\\d+ % · titled$/.test(document.title)")
    stop(page)
    page.wait_for_function("document.title == 'FluxTuner'")


def test_the_log_is_searched_and_copied(app, visit) -> None:
    page = visit(app.address)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=app.address)
    begin(app, page, "logged", 30)
    expect(page.locator("#strip")).to_contain_text("Finished")
    go(page, "Train")
    page.get_by_role("button", name=re.compile("^Log")).click()
    page.get_by_label("Search the log").fill("checkpointsaved")
    expect(page.get_by_role("log")).to_contain_text("CheckpointSaved step=30")
    expect(page.get_by_role("log")).not_to_contain_text("StepDone")
    page.wait_for_timeout(4000)
    expect(page.get_by_role("log")).not_to_contain_text("StepDone")
    page.get_by_role("button", name="Copy for a bug report").click()
    expect(page.get_by_label("Bug report")).to_have_value(re.compile("Finished in phase"))
    page.wait_for_function("navigator.clipboard.readText().then((said) => said.includes('RunFinished'))")
    assert str(app.root) not in page.evaluate("navigator.clipboard.readText()")

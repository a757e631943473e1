"""The Recipe tab in a browser: dials, prompts, search, files, own presets, and that what was typed stays."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ENDED, exact, go, screenshot, start_app

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    root = tmp_path_factory.mktemp("recipe")
    opened = start_app("tests/browser/play.py", root, PLAYER_STEP_SECONDS="0.5")
    yield opened
    assert opened.close() == ENDED, opened.heard


@pytest.fixture
def page(app, visit):
    """The practice recipe, from the start."""
    opened = visit(app.address)
    go(opened, "Recipe")
    expect(opened.locator("#sentence")).to_contain_text("steps")
    shown = opened.get_by_label("Recipe shown")
    before = shown.input_value()
    opened.locator('.card[data-act="practice"]').click()
    expect(shown).not_to_have_value(before)
    expect(opened.locator("#sentence")).to_contain_text("= 500 steps")
    return opened


def fold(page, name: str) -> None:
    page.get_by_role("button", name=re.compile(f"^{name}")).first.click()


def test_the_dials_say_what_they_do_and_do_it(page) -> None:
    page.get_by_label("Thorough: 1,000 steps, each picture 400 times").check()
    expect(page.locator("#sentence")).to_contain_text("10 images × 400 passes = 1,000 steps of 4 images")
    expect(exact(page, "Number of steps")).to_have_value("1000")
    page.get_by_label("Gentle: rate 0.00025, rank 8").check()
    expect(exact(page, "Rank of the LoRA")).to_have_value("8")
    page.get_by_label("LoKr").check()
    expect(page.get_by_label("Gentle: rate 0.0005")).to_be_checked()
    exact(page, "Number of steps").fill("1234")
    exact(page, "Number of steps").press("Enter")
    expect(page.get_by_label("Own: 1,234 steps, each picture 494 times")).to_be_checked()


def test_what_is_typed_stays_without_leaving_the_field(app, page, visit) -> None:
    """Nothing but a second without a key: then the page is loaded anew, and another one is opened."""
    page.get_by_label("Name of this run").click()
    page.keyboard.type("-by-night")
    exact(page, "Rank of the LoRA").fill("7")
    expect(page.get_by_label("Own: rate 0.0005, rank 7")).to_be_checked()
    page.reload()
    for each in (page, visit(app.address)):
        go(each, "Recipe")
        expect(each.get_by_label("Name of this run")).to_have_value(re.compile("-by-night"))
        expect(exact(each, "Rank of the LoRA")).to_have_value("7")
    page.get_by_label("Name of this run").fill("practice")


def test_sample_prompts_come_from_a_library_with_the_trigger_filled_in(page) -> None:
    fold(page, "Sample prompts")
    expect(page.locator("#prompts textarea")).to_have_value(re.compile("a sks on a green background"))
    page.get_by_label("a style").check()
    expect(page.locator("#prompts textarea")).to_have_value(re.compile("^sks, a young woman reading"))
    page.locator("#prompts textarea").fill("a sks in the rain")
    page.get_by_label("Seed of the samples").click()
    expect(page.get_by_label("Own", exact=True)).to_be_checked()
    page.get_by_label("As the preset", exact=True).check()
    expect(page.locator("#prompts textarea")).to_have_value(re.compile("a purple umbrella"))


def test_every_setting_is_found_by_its_name(page) -> None:
    fold(page, "Expert")
    page.get_by_label("Find a setting").fill("lora_dropout")
    expect(page.get_by_text("1 setting found.")).to_be_visible()
    page.get_by_label("Dropout", exact=True).fill("0.25")
    expect(page.locator("#differs")).to_contain_text(re.compile("Dropout.*0.25"))
    page.get_by_label("Find a setting").fill("nothing like it")
    expect(page.get_by_text("No setting has these words.")).to_be_visible()


def test_the_files_are_shown_changed_and_loaded(page, tmp_path) -> None:
    fold(page, "Expert")
    fold(page, "The files")
    text = page.locator("#file-text textarea")
    expect(text).to_have_value(re.compile('"max_train_steps": 500'))
    text.fill(text.input_value().replace('"max_train_steps": 500', '"max_train_steps": 77'))
    page.get_by_role("button", name="Use this text").click()
    expect(page.locator("#sentence")).to_contain_text("= 77 steps")
    text.fill("{")
    page.get_by_role("button", name="Use this text").click()
    expect(page.get_by_role("alert").filter(has_text="stops in the middle")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    file = tmp_path / "user_prompt_library.json"
    file.write_text(json.dumps({"one": "a <token> on the moon"}), encoding="utf-8")
    fold(page, "Load")
    page.locator("#load input[type=file]").set_input_files([file])
    expect(page.locator("#loaded")).to_contain_text("The recipe is now what these files say.")
    fold(page, "Sample prompts")
    expect(page.locator("#prompts textarea")).to_have_value("a sks on the moon")


def test_a_rehearsal_measures_and_is_no_run(page) -> None:
    page.get_by_role("button", name="Rehearse", exact=True).click()
    expect(page.locator("#rehearsal")).to_contain_text("Rehearsal:")
    expect(page.locator("#sentence")).to_contain_text("(with samples, as rehearsed)")
    expect(page.locator("#rehearsal")).to_have_text("")
    expect(page.get_by_role("button", name="Rehearse", exact=True)).to_be_enabled()
    expect(page.locator("#strip")).to_contain_text("No run")
    go(page, "Runs")
    expect(page.locator("#runs")).not_to_contain_text("rehearsal")


def test_a_recipe_becomes_a_card_of_ones_own_and_goes_again(page) -> None:
    exact(page, "Number of steps").fill("321")
    exact(page, "Number of steps").press("Enter")
    expect(page.locator("#sentence")).to_contain_text("= 321 steps")
    fold(page, "Expert")
    fold(page, "Save as my preset")
    page.get_by_label("Name of the preset").fill("houses")
    page.locator("#save-preset").click()
    mine = page.locator('.card[data-act="houses"]')
    expect(mine).to_have_attribute("aria-pressed", "true")
    expect(mine).to_contain_text("321 steps, 64 px")
    page.locator('.card[data-act="practice"]').click()
    expect(page.locator("#sentence")).to_contain_text("= 500 steps")
    mine.click()
    expect(page.locator("#sentence")).to_contain_text("= 321 steps")
    screenshot(page, "own-preset")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Delete houses").click()
    expect(mine).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete houses").click()
    expect(mine).to_be_hidden()
    expect(page.locator("#sentence")).to_contain_text("= 321 steps")

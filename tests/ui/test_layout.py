"""The page is built without a model and without torch, and every browser tab is told only what is new."""

from __future__ import annotations

import gradio as gr
import pytest

from tests import player
from tests.ui.conftest import PATIENCE_SECONDS, in_loop
from tuner.session import Session
from tuner.ui import layout, wording
from tuner.ui.desk import Desk


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> dict:
    root = tmp_path_factory.mktemp("page")
    return in_loop(lambda: layout.build(Desk(Session(root))).get_config_file())


def test_the_six_tabs_stand_in_their_order(config) -> None:
    tabs = [c["props"]["label"] for c in config["components"] if c["type"] == "tabitem"]
    assert tabs == ["Images", "Recipe", "Train", "Results", "Runs", "Setup"] == list(wording.TABS.values())


def test_nothing_is_kept_per_visitor(config) -> None:
    """Any of these would make each tab hold a stream open, and the sixth tab would not load."""
    assert not [c for c in config["components"] if c["type"] in ("state", "browserstate")]
    events = {target[1] for dependency in config["dependencies"] for target in dependency["targets"]}
    assert "unload" not in events
    assert not config["connect_heartbeat"]


def test_every_field_has_a_label(config) -> None:
    fields = ("textbox", "number", "dropdown", "checkbox", "gallery", "imageslider")
    assert all(c["props"]["label"] for c in config["components"] if c["type"] in fields)


def test_no_event_is_part_of_a_public_interface(config) -> None:
    public = [d["targets"] for d in config["dependencies"] if d["api_visibility"] == "public"]
    assert public == []


def test_the_page_stays_light(config) -> None:
    """The expert form is made when it is opened: 187 settings would be most of the page."""
    assert len(config["components"]) < 320


def test_a_tab_that_is_up_to_date_gets_nothing(desk) -> None:
    seen = layout.tick(desk, "")[0]
    assert layout.tick(desk, seen) == gr.skip()
    desk.stop()
    assert layout.tick(desk, seen)[0] != seen


def test_a_second_tab_gets_everything(finished) -> None:
    first, second = (layout.tick(finished, "") for _ in range(2))
    assert first == second
    assert "6 of 6" in first[5]


def test_pictures_are_sent_only_when_there_are_new_ones(finished) -> None:
    first = layout.slow_tick(finished, "", None, None)
    again = layout.slow_tick(finished, first[0], None, None)
    assert len(again) == len(first)
    assert "<img" in first[9]
    warning, heartbeat = again[4:6]
    assert warning == heartbeat == ""
    assert [*again[2:4], *again[6:]] == [gr.skip()] * (len(again) - 4)


def test_what_is_searched_for_in_the_log_is_shown_though_nothing_happened(finished) -> None:
    seen = layout.slow_tick(finished, "", None, None)[0]
    searched = layout.slow_tick(finished, seen, None, None, "run finished")
    assert wording.NOT_IN_LOG in searched[8]
    assert layout.slow_tick(finished, searched[0], None, None, "run finished")[8] == gr.skip()


def test_pressing_start_takes_what_the_fields_say(desk, monkeypatch) -> None:
    monkeypatch.setattr(player, "STEP_SECONDS", 0.05)
    shown = layout.recipe_tab.values(desk)
    assert shown["steps"] == 6
    answer = layout.recipe_tab.start(desk, *{**shown, "name": "mine", "steps": 8}.values())
    assert isinstance(answer[0], gr.Tabs)
    assert (desk.view.run, desk.view.num_steps) == ("mine", 8)
    desk.session.join(PATIENCE_SECONDS)


def test_while_a_run_goes_its_buttons_work(desk, monkeypatch) -> None:
    monkeypatch.setattr(player, "STEP_SECONDS", 0.05)
    desk.draft.change({"optimization.max_train_steps": 400})
    desk.start()
    pause, stop = layout.tick(desk, "")[2:4]
    assert pause["interactive"] and stop["interactive"] and pause["value"] == "Pause"
    desk.stop()
    assert not layout.tick(desk, "")[3]["interactive"]

"""The three steps of Setup, versions and places."""

from __future__ import annotations

import gradio as gr

from tuner.machine import GB, Finding
from tuner.quantization import store_folder
from tuner.ui import base_model, setup_tab
from tuner.ui.base_model import Models


def test_the_kept_weights_are_shown_and_cleared(desk, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(store_folder.constants, "HF_HOME", str(tmp_path / "hf"))
    kept = store_folder.folder() / "int8-quanto-ab" / "layer.safetensors"
    kept.parent.mkdir(parents=True)
    with kept.open("wb") as file:
        file.truncate(int(1.2 * GB))
    assert f"{store_folder.folder()}</code>: 1.2 GB" in setup_tab.show(desk, Models())[-1]
    assert ": 0.0 GB" in setup_tab.clear(desk, Models())[-1] and not kept.exists()


def test_versions_and_places(desk) -> None:
    shown = setup_tab.show(desk, Models())
    doctor, places = shown[7], shown[-1]
    assert "Python" in doctor
    assert "6.31" in places and str(desk.runs.resolve()) in places


def test_layers_are_tried_on_a_click(monkeypatch) -> None:
    monkeypatch.setattr(setup_tab.tried, "findings", lambda: (Finding("NF4 layer", "ok", "Right."),))
    assert "NF4 layer" in setup_tab.try_layers()


def headings(desk):
    """(text of each heading, which are open)"""
    _, *rest = setup_tab.headings(desk, Models())
    return [one["label"] for one in rest[:3]], [one.get("open") for one in rest[:3]]


def test_the_first_step_that_is_not_done_is_open(desk, monkeypatch) -> None:
    monkeypatch.setattr(setup_tab.comfy_part.comfyui, "installs", lambda: ())
    monkeypatch.setattr(
        setup_tab.machine, "doctor", lambda _: (Finding("Disk", "bad", "It is full.", "Free 2."),)
    )
    assert headings(desk)[1] == [None] * 3
    desk.walking = 0
    labels, opened = headings(desk)
    assert labels[0] == "● 1. Your computer: 1 thing to mend (needs you)" and opened == [True, False, False]
    base_model.take(desk, "black-forest-labs/FLUX.1-dev", "dev")
    setup_tab.go_on(desk, Models(), 0)
    assert headings(desk)[1] == [False, True, False]
    base_model.take_practice(desk)
    labels, opened = headings(desk)
    assert labels[1:] == [
        "✓ 2. Base model: the practice model",
        "✓ 3. ComfyUI: none found; training works without",
    ]
    assert opened == [False, False, True]
    there, welcome, *rest = setup_tab.go_on(desk, Models(), 2)
    assert there.selected == "images" and desk.walking is None and welcome == ""
    assert [one["visible"] for one in rest[3:]] == [False] * 3


def test_layers_are_tried_unasked_only_at_the_first_start(desk, monkeypatch) -> None:
    monkeypatch.setattr(setup_tab.tried, "findings", lambda: (Finding("NF4 layer", "ok", "Right."),))
    assert setup_tab.try_first(desk) == gr.skip()
    desk.walking = 0
    assert "NF4 layer" in setup_tab.try_first(desk)

"""A running ComfyUI is asked to draw, and says in words what it lacks."""

from __future__ import annotations

import json

import pytest

from tests.export.fake_comfyui import NUMBER, PICTURE, FakeComfyUI
from tuner.errors import TunerError
from tuner.export import server

API, UI = {"1": {"class_type": "SaveImage", "inputs": {}}}, {"nodes": []}


def test_a_picture_is_drawn() -> None:
    with FakeComfyUI() as fake:
        assert server.draw(fake.address, API, UI, 5) == PICTURE
        asked = fake.asked["/prompt"]
    assert asked["prompt"] == API and asked["extra_data"]["extra_pnginfo"]["workflow"] == UI


def test_a_refusal_names_the_node() -> None:
    wrong = {
        "type": "value_not_in_list",
        "message": "Value not in list",
        "details": "unet_name: 'x' not in []",
    }
    nodes = {"1": {"class_type": "UNETLoader", "errors": [wrong]}}
    with FakeComfyUI() as fake:
        fake.refusals["/prompt"] = (
            400,
            json.dumps({"error": {"message": "no"}, "node_errors": nodes}).encode(),
        )
        with pytest.raises(TunerError, match="UNETLoader: Value not in list .unet_name: 'x' not in"):
            server.draw(fake.address, API, UI, 5)


@pytest.mark.parametrize(
    ("history", "seconds", "words"),
    [
        ({NUMBER: {"outputs": {}}}, 5, "without a picture"),
        ({}, 0.1, "not drawn the picture within 0 seconds"),
    ],
)
def test_one_that_draws_nothing(history: dict[str, object], seconds: float, words: str) -> None:
    answers = {f"/history/{NUMBER}": json.dumps(history).encode()}
    with FakeComfyUI(answers=answers) as fake, pytest.raises(TunerError, match=words):
        server.draw(fake.address, API, UI, seconds)


def test_none_that_answers() -> None:
    with pytest.raises(TunerError, match="does not answer"):
        server.draw("http://127.0.0.1:9", API, UI, 5)


def test_a_workflow_for_the_sidebar() -> None:
    with FakeComfyUI() as fake:
        server.add_workflow(fake.address, "a house.json", UI)
        assert fake.asked["/userdata/workflows%2Fa%20house.json?overwrite=false"] == UI
        fake.refusals["/userdata/workflows%2Fb.json?overwrite=false"] = (409, b"File already exists")
        with pytest.raises(TunerError, match="already exists"):
            server.add_workflow(fake.address, "b.json", UI)

"""The model of the recipe: found, practised on, or downloaded."""

from __future__ import annotations

import json
import time

import gradio as gr
import pytest

from tests.hub.conftest import TOKEN, hub  # noqa: F401 - the fixture
from tuner.errors import TunerError
from tuner.hub.download import File
from tuner.hub.found import Found
from tuner.ui import base_model, download_part, layout, setup_tab
from tuner.ui.base_model import Models

FLUX = Found("/models/unet/flux1-krea-dev.safetensors", "krea", "fp8", 11.9)


@pytest.fixture
def models():
    made = Models()
    made.found = (FLUX, Found("/x.safetensors", "dev", "U8", 6.0, "its weights are kept as U8"))
    return made


def test_nothing_is_listed_before_somebody_looks(desk) -> None:
    assert base_model.listed(Models()) == ""
    assert "practice model" in base_model.chosen(desk)


def test_a_found_model_is_used_where_it_lies(desk, models) -> None:
    table = base_model.listed(models)
    assert "use:0" in table and "use:1" not in table and "U8" in table and "11.9 GB" in table
    assert base_model.source_of(desk, models) == "practice"
    base_model.use(desk, models, "use:0")
    chosen, source, own, _, fetch, flavour = base_model.show(desk, models)
    assert FLUX.place in chosen and "text_encoder_2" in chosen
    assert (source, own["visible"], fetch["visible"], flavour) == ("found", True, True, "krea")
    assert base_model.state(desk, models) == (False, "FLUX.1 Krea [dev] is not here yet")
    assert desk.draft.settings.model.pretrained_model_name_or_path == FLUX.place
    assert desk.draft.settings.flavour.name == "krea" and desk.draft.preset != "practice"
    base_model.choose(desk, models, "practice")
    assert desk.draft.preset == "practice" and base_model.show(desk, models)[1:3] == [
        "practice",
        gr.update(visible=False),
    ]
    assert base_model.state(desk, models) == (True, "the practice model")


def test_choosing_files_looks_for_them_once(desk, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(base_model.found, "find", lambda folders: asked.append(folders) or (FLUX,))
    models = Models()
    setup_tab.show(desk, models)
    assert models.found is None
    desk.walking = 1
    setup_tab.show(desk, models)
    assert base_model.choose(desk, models, "found") == "found" and models.found == (FLUX,)
    assert len(asked) == 1


def test_a_model_that_has_to_come_is_said_so(desk, models) -> None:
    base_model.take(desk, "black-forest-labs/FLUX.1-dev", "dev")
    assert base_model.state(desk, Models()) == (False, "FLUX.1 [dev] is not here yet")
    assert (
        base_model.source_of(desk, Models()) == "download" and base_model.source_of(desk, models) == "found"
    )
    models.download.state = "running"
    assert base_model.state(desk, models) == (True, "FLUX.1 [dev] is being downloaded")


@pytest.mark.parametrize("word", ["use:7", "use:-1", "use:", "burn:0"])
def test_what_the_page_may_not_ask(desk, models, word) -> None:
    with pytest.raises(TunerError):
        base_model.use(desk, models, word)


def test_a_folder_that_is_not_there(desk, models) -> None:
    with pytest.raises(TunerError, match="no folder"):
        base_model.look(models, "/nowhere/at all")


def test_looking_finds_what_is_below_the_folder(desk, models, monkeypatch, tmp_path) -> None:
    asked = []
    monkeypatch.setattr(base_model.found, "find", lambda folders: asked.extend(folders) or ())
    base_model.look(models, f" {tmp_path} ")
    assert asked[0] == tmp_path and models.found == ()


def test_the_token_is_tried_and_never_comes_back(hub, desk, tmp_path) -> None:  # noqa: F811
    with pytest.raises(TunerError):
        download_part.keep_token("hf_wrong", "dev")
    field, ticks = download_part.keep_token(TOKEN, "dev")
    assert field == "" and TOKEN not in ticks and "painter" in ticks
    desk.draft.change({"adapter.lora_rank": 8})
    own = [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and "hf" not in path.relative_to(tmp_path).parts
    ]
    assert own and not any(TOKEN.encode() in path.read_bytes() for path in own)


def test_a_download_shows_each_large_file(models) -> None:
    assert download_part.progress(Models().download)[0] == ""
    one = models.download
    one.files = (File("transformer/a.safetensors", 10**10, 4 * 10**9, 5e7), File("small.json", 100, 100))
    one.state = "running"
    shown, timer = download_part.progress(one)
    assert timer.active and "50 MB a second, about 2 min left" in shown and "small.json" not in shown
    one.state, one.problem = "failed", "The licence of it is not accepted."
    shown, timer = download_part.progress(one)
    assert not timer.active and "licence" in shown


def test_a_download_begins_with_what_is_missing(hub, desk, models, monkeypatch) -> None:  # noqa: F811
    hub.files["black-forest-labs"] = b""
    monkeypatch.setattr("tests.hub.conftest.REPOSITORY", "black-forest-labs/FLUX.1-dev")
    hub.files = {"model_index.json": json.dumps({}).encode(), "vae/config.json": b"{}"}
    base_model.start(desk, models, "dev")
    end = time.monotonic() + 60
    while models.download.state == "running" and time.monotonic() < end:
        time.sleep(0.05)
    assert models.download.state == "done", models.download.problem
    assert desk.draft.settings.model.pretrained_model_name_or_path == "black-forest-labs/FLUX.1-dev"


def test_setup_opens_at_the_very_first_start(desk) -> None:
    assert layout.first_tab(desk).selected == "setup"
    assert layout.first_tab(desk) == layout.gr.skip()

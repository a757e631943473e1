"""The caption of one picture, the next one, and captions by a model that only plays."""

from __future__ import annotations

import sys
import threading
import time
from types import SimpleNamespace

import gradio as gr
import pytest
from PIL import Image

from tests.ui.conftest import PATIENCE_SECONDS
from tuner.errors import ModelMissing, TunerError
from tuner.ui import editor, images_tab, layout


@pytest.fixture
def pictures(tmp_path, desk):
    folder = tmp_path / "bilder"
    folder.mkdir()
    for number in range(4):
        Image.new("RGB", (90, 60), (40 * number, 90, 120)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"sks <{number}>", encoding="utf-8")
    (folder / "3.txt").unlink()
    desk.draft.use_folder(str(folder))
    return folder


@pytest.fixture
def captioner(monkeypatch):
    """Says the instruction and a number; waits at the second picture until it is let go."""
    let_go = threading.Event()

    def captions(paths, request):
        if request.model == "nowhere":
            raise ModelMissing("There is no folder 'nowhere'.")
        for number, path in enumerate(paths):
            if number:
                let_go.wait(PATIENCE_SECONDS)
            yield path, f"{request.instruction} {number}"

    monkeypatch.setitem(sys.modules, "tuner.training.captioner", SimpleNamespace(captions=captions))
    return let_go


def until(true) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_picture_is_picked_and_the_next(desk, pictures) -> None:
    path, about, caption, leave = editor.show(desk, str(pictures / "0.png"))
    assert (path, caption["value"], leave["value"]) == (str(pictures / "0.png"), "sks <0>", "Leave out")
    assert "0.png" in about and "<img" in about
    path, about, caption, _ = editor.turn(desk, path, -1)
    assert (path, caption["value"], caption["interactive"]) == (str(pictures / "3.png"), "", True)
    assert "(left out)" in about
    assert editor.turn(desk, path, 1)[0] == str(pictures / "0.png")
    assert [editor.turn(desk, "", by)[0][-5:] for by in (1, -1)] == ["0.png", "3.png"]
    assert editor.show(desk, "/etc/passwd") == editor.empty()


def test_a_caption_is_saved_when_its_field_is_left(desk, pictures) -> None:
    path = str(pictures / "3.png")
    gallery = images_tab.save(desk, path, " a new one ")[3]
    assert (pictures / "3.txt").read_text() == "a new one\n"
    assert (
        "too small</span>" in gallery and ">no trigger</span>" in gallery and ">a new one</span>" in gallery
    )
    assert images_tab.save(desk, path, "a new one") == gr.skip() == images_tab.save(desk, "", "x")
    with pytest.raises(TunerError, match="no longer there"):
        editor.save(desk, "/etc/passwd", "x")


def test_captions_from_elsewhere_cannot_be_typed(desk, pictures) -> None:
    desk.draft.change({f"datasets.{desk.draft.settings.datasets[0].id}.caption_strategy": "filename"})
    _, about, caption, _ = editor.show(desk, str(pictures / "1.png"))
    assert caption == gr.update(value="1", interactive=False) and "does not come from a text file" in about
    with pytest.raises(TunerError) as caught:
        editor.save(desk, str(pictures / "1.png"), "x")
    assert list(caught.value.advice[0].change.values()) == ["textfile"]


def test_a_model_writes_the_empty_ones(desk, pictures, captioner) -> None:
    before, seen = editor.progress(desk), layout.tick(desk, "")[0]
    captioner.set()
    editor.write_captions(desk, "folder", "one sentence", False)
    until(lambda: desk.captioning.num_ended == 1)
    after = editor.progress(desk)
    assert layout.tick(desk, seen) != gr.skip()
    assert (pictures / "3.txt").read_text() == "sks <CAPTION> 0\n"
    shown = images_tab.captioned(desk, "another state", str(pictures / "3.png"))
    assert "sks &lt;CAPTION&gt; 0</span>" in shown[4] and shown[-2]["value"] == "sks <CAPTION> 0"
    assert images_tab.captioned(desk, shown[0], "") == gr.skip()
    assert "1 of 1 caption written" in after[0] and (before[-1], after[-1]) == ("0.0", "1.0")
    editor.write_captions(desk, "folder", "Who is it?", False)
    until(lambda: desk.captioning.num_ended == 2)
    assert "Every picture has a caption" in editor.progress(desk)[0]


def test_it_can_be_stopped_and_what_is_written_stays(desk, pictures, captioner) -> None:
    editor.write_captions(desk, "folder", "Who?", True)
    until(lambda: desk.captioning.done == 1)
    said, write, stop, _ = editor.progress(desk)
    assert "1 of 4 captions written" in said and (write["interactive"], stop["interactive"]) == (False, True)
    for refused in (lambda: editor.write_captions(desk, "folder", "Who?", True), desk.start):
        with pytest.raises(TunerError, match="Captions are being made"):
            refused()
    desk.captioning.stop()
    captioner.set()
    until(lambda: not desk.captioning.going)
    texts = [(pictures / f"{number}.txt").read_text() for number in range(3)]
    assert texts[0] == "sks Who? 0\n" and texts[2] == "sks <2>"
    images_tab.undo(desk, "")
    assert (pictures / "0.txt").read_text() == "sks <0>"


def test_a_captioner_that_fails_is_told_on_the_card(desk, pictures, captioner) -> None:
    editor.write_captions(desk, "nowhere", "in detail", False)
    until(lambda: desk.captioning.num_ended == 1)
    assert "no folder" in layout.tick(desk, "")[4]
    assert not desk.captioning.going

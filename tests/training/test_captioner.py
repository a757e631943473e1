"""A tiny Florence-2 in a folder writes captions; nothing is asked of the network."""

from __future__ import annotations

import gc
import socket
import weakref
from pathlib import Path

import pytest
from PIL import Image
from transformers import Florence2ForConditionalGeneration, Florence2Processor

from tests.training import florence
from tuner.dataset import undo
from tuner.dataset.decoding import PictureBroken
from tuner.errors import ModelMissing, TunerError
from tuner.session import Session
from tuner.settings.request import INSTRUCTIONS, CaptionRequest
from tuner.training import captioner

SHORT = {"max_tokens": 6}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return str(florence.make(tmp_path_factory.mktemp("florence")))


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def pictures(tmp_path) -> list[Path]:
    paths = [tmp_path / "set" / f"{number} ü.png" for number in range(3)]
    paths[0].parent.mkdir()
    for number, path in enumerate(paths):
        Image.new("RGB", (80, 40), (120 * number, 90, 10)).save(path)
    paths[1].with_suffix(".txt").write_text("mine")
    return paths


def test_it_says_what_the_model_says(model, pictures, offline) -> None:
    request = CaptionRequest(model, INSTRUCTIONS["one sentence"], **SHORT)
    ((path, text),) = captioner.captions(pictures[:1], request)
    processor = Florence2Processor.from_pretrained(model)
    expected = Florence2ForConditionalGeneration.from_pretrained(model).generate(
        **processor(images=Image.open(path), text="What does the image describe?", return_tensors="pt"),
        max_new_tokens=6,
        num_beams=3,
    )
    assert (
        path == pictures[0] and text == processor.decode(expected[0], skip_special_tokens=True).strip() != ""
    )


def test_an_instruction_of_ones_own(model, pictures, monkeypatch) -> None:
    asked = []
    plain = Florence2Processor.__call__

    def watched(self, *values, **named):
        asked.append(named["text"])
        return plain(self, *values, **named)

    monkeypatch.setattr(Florence2Processor, "__call__", watched)
    list(captioner.captions(pictures, CaptionRequest(model, "Name the colours.", **SHORT)))
    assert asked == ["Name the colours."] * 3


def test_the_model_is_freed_at_the_end_and_when_it_is_stopped(model, pictures, monkeypatch) -> None:
    alive = []
    load = captioner._load

    def watched(*places):
        processor, loaded = load(*places)
        alive.append(weakref.ref(loaded))
        return processor, loaded

    monkeypatch.setattr(captioner, "_load", watched)
    list(captioner.captions(pictures[:1], CaptionRequest(model, **SHORT)))
    stopped = captioner.captions(pictures, CaptionRequest(model, **SHORT))
    assert len(alive) == 1, "loaded only when a caption is asked for"
    next(stopped)
    stopped.close()
    gc.collect()
    assert [one() for one in alive] == [None, None]


def test_a_model_that_is_not_there(tmp_path, pictures, model, offline) -> None:
    def sentence(place: object) -> str:
        with pytest.raises(ModelMissing) as caught:
            list(captioner.captions(pictures, CaptionRequest(str(place))))
        assert "florence-community" in caught.value.advice[0].text
        return caught.value.message

    assert "no folder" in sentence(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "holds no Florence-2 that can be loaded" in sentence(tmp_path / "empty")
    other = florence.make(tmp_path / "other")
    (other / "model.safetensors").unlink()
    assert "holds no Florence-2" in sentence(other)


def test_weights_of_another_form_are_refused(tmp_path, pictures, monkeypatch) -> None:
    from safetensors.torch import load_file, save_file

    other = florence.make(tmp_path / "older")
    weights = load_file(other / "model.safetensors")
    save_file({f"davit.{name}": tensor for name, tensor in weights.items()}, other / "model.safetensors")
    with pytest.raises(ModelMissing, match="older form"):
        list(captioner.captions(pictures, CaptionRequest(str(other))))


def test_a_picture_that_went_away_is_named(model, pictures) -> None:
    pictures[0].write_bytes(b"")
    with pytest.raises(PictureBroken, match=r"0 ü\.png' cannot be opened\. The file is empty"):
        list(captioner.captions(pictures, CaptionRequest(model, **SHORT)))


def test_the_session_fills_the_empty_ones_in_one_step(tmp_path, model, pictures) -> None:
    session = Session(tmp_path)
    request = CaptionRequest(model, trigger="sks", **SHORT)
    assert list(session.caption(pictures, request)) == [(0, 2), (1, 2), (2, 2)]
    texts = [path.with_suffix(".txt").read_text() for path in pictures]
    assert texts[1] == "mine" and texts[0].startswith("sks ") and texts[0].endswith("\n")
    assert list(session.caption(pictures, CaptionRequest("nobody asks it"))) == [(0, 0)]
    assert undo.undo(session.undo_folder).title == "2 captions by a model"
    assert sorted(path.name for path in pictures[0].parent.glob("*.txt")) == ["1 ü.txt"]
    assert list(session.caption(pictures, request, every=True))[-1] == (3, 3)
    assert pictures[1].with_suffix(".txt").read_text().startswith("sks ")
    undo.undo(session.undo_folder)
    assert pictures[1].with_suffix(".txt").read_text() == "mine"


def test_neither_two_captioners_nor_a_run_beside_it(tmp_path, model, pictures) -> None:
    session = Session(tmp_path)
    first = session.caption(pictures, CaptionRequest(model, **SHORT))
    assert [next(first), next(first)] == [(0, 2), (1, 2)]
    for refused in (
        lambda: list(session.caption(pictures, CaptionRequest(model))),
        lambda: session.start(tmp_path),
    ):
        with pytest.raises(TunerError, match="Captions are being made"):
            refused()
    first.close()
    assert list(session.caption(pictures, CaptionRequest(model, **SHORT)))[-1] == (1, 1)

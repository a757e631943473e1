"""One click: the LoRA lies in ComfyUI under a new name, with its picture and a workflow that names it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from safetensors import safe_open

from tests.export.fake_comfyui import PICTURE, FakeComfyUI
from tests.export.test_comfyui import comfyui_at
from tests.training.test_drawing import folder as folder
from tests.training.test_exporting import finished, lora
from tuner.errors import TunerError
from tuner.export import comfyui, place
from tuner.files.run_folder import RunFolder
from tuner.settings.run import RunSettings
from tuner.training import exporting
from tuner.training.exporting import Finished
from tuner.training.sending import send


@pytest.fixture
def trained(settings: RunSettings, folder: RunFolder) -> Finished:
    """A checkpoint at step 7 of a run that has samples."""
    return finished(settings, lora())


@pytest.fixture
def install(tmp_path: Path) -> comfyui.Install:
    root = comfyui_at(tmp_path / "ComfyUI")
    (root / "input").mkdir()
    return comfyui.at(root)


def test_everything_is_where_comfyui_looks_for_it(trained: Finished, install: comfyui.Install) -> None:
    sent = send(trained, install, sample="house")
    assert sent.lora == install.loras / "run-000007.safetensors" and sent.listed == "run-000007.safetensors"
    assert sent.lora.read_bytes() == sent.report.path.read_bytes()
    assert sent.report.verdict.num_tensors == sent.report.num_tensors
    assert install.workflows is not None
    document = json.loads((install.workflows / "run-000007.json").read_text())
    with safe_open(sent.lora, "pt") as file:
        header = file.metadata()
    with Image.open(install.loras / "run-000007.png") as image:
        stamped = image.text
    for found in (document, json.loads(header["workflow"]), json.loads(stamped["workflow"])):
        (loader,) = [one for one in found["nodes"] if one["type"] == "LoraLoaderModelOnly"]
        assert loader["widgets_values"] == ["run-000007.safetensors", 1.0]
    assert any("has no 'ae.safetensors' in models/vae" in note for note in sent.notes)


def test_each_time_under_a_new_name(trained: Finished, install: comfyui.Install) -> None:
    first, second = (send(trained, install, sample="house") for _ in range(2))
    assert first.lora and second.lora and second.lora.name == "run-000007-2.safetensors"
    assert first.lora.is_file()
    assert json.loads(second.workflow.read_text()) != json.loads(first.workflow.read_text())
    assert len(list(install.loras.glob("*.png"))) == 2


def test_without_a_comfyui_the_file_and_its_workflow_are_there(trained: Finished) -> None:
    sent = send(trained, None)
    assert (sent.lora, sent.listed, sent.install) == (None, None, None)
    assert sent.report.path.is_file() and sent.workflow.is_file()
    named = send(trained, None, sample="tree")
    assert named.picture is not None and named.picture.is_file()
    with pytest.raises(TunerError, match="no sample 'dog'"):
        send(trained, None, sample="dog")


def test_a_folder_that_takes_nothing_is_a_sentence(
    trained: Finished, install: comfyui.Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(source: Path, to: Path) -> None:
        with place.whole(to):
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(place, "copy", refused)
    with pytest.raises(TunerError, match="loras' may not be written to"):
        send(trained, install)
    assert list(install.loras.iterdir()) == []


def test_a_sidebar_that_refuses_is_a_note(trained: Finished, install: comfyui.Install) -> None:
    assert install.root is not None
    (install.root / "user").write_text("no folder")
    assert any("not in ComfyUI's sidebar" in note for note in send(trained, install).notes)


def test_a_running_comfyui_gets_the_workflow_and_draws(trained: Finished, install: comfyui.Install) -> None:
    with FakeComfyUI() as fake:
        sent = send(trained, replace(install, address=fake.address), draw=True)
    assert sent.drawn is not None and sent.drawn.read_bytes() == PICTURE
    assert fake.asked["/prompt"]["prompt"]["4"]["inputs"]["lora_name"] == sent.listed
    assert "/userdata/workflows%2Frun-000007.json?overwrite=false" in fake.asked


def test_one_that_does_not_draw_is_a_note(trained: Finished, install: comfyui.Install) -> None:
    silent = send(trained, install, draw=True)
    assert silent.lora is not None and silent.drawn is None
    assert any("has not drawn it. It is not running. Start it" in note for note in silent.notes)


def test_a_failed_export_sends_nothing(
    trained: Finished, install: comfyui.Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failed(*given: object) -> None:
        raise TunerError("No.")

    monkeypatch.setattr(exporting, "export", failed)
    with pytest.raises(TunerError, match="No."):
        send(trained, install)
    assert list(install.loras.iterdir()) == [] and list(trained.folder.exports.iterdir()) == []

"""The Results tab in a real browser, over a finished run of a tiny FLUX that really draws."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import ENDED, go, screenshot, start_app
from tests.export.test_comfyui import comfyui_at
from tests.tiny import write_tiny_flux
from tests.training.test_exporting import finished, lora
from tuner import files
from tuner.events import CheckpointSaved, RunFinished, RunStarted, SampleReady
from tuner.files import journal
from tuner.files.run_folder import RunFolder
from tuner.flux import headers
from tuner.practice.pictures import write_practice_pictures
from tuner.settings.dataset import ImageDataset
from tuner.settings.model import Model
from tuner.settings.run import RunSettings
from tuner.settings.sampling import SamplePrompt, Sampling
from tuner.settings.saving import Saving

pytestmark = pytest.mark.browser
STEPS = (6, 9)


def write_run(root: Path) -> RunFolder:
    """A run with samples at three steps, and checkpoints at two, of an adapter that does something."""
    write_practice_pictures(root / "pictures")
    folder = RunFolder(root / "runs" / "ready")
    data = ImageDataset(
        id="house", instance_data_dir=str(root / "pictures"), resolution=64, resolution_type="pixel"
    )
    settings = RunSettings(
        model=Model(
            pretrained_model_name_or_path=str(write_tiny_flux(root / "flux")),
            mixed_precision="no",
            vae_dtype="fp32",
            tokenizer_max_length=24,
        ),
        datasets=(data,),
        sampling=Sampling(validation_resolution="64x64", validation_num_inference_steps=2),
        library=(SamplePrompt("red", "a sks on red"), SamplePrompt("tree", "a sks in a tree")),
        saving=Saving(output_dir=str(folder.path)),
    )
    made = finished(settings, lora())
    files.save_all(made.settings, folder.config)
    for step in STEPS:
        shutil.copytree(made.checkpoint, folder.checkpoint(step))
    shutil.rmtree(made.checkpoint)
    _write_journal(folder)
    return folder


def _write_journal(folder: RunFolder) -> None:
    folder.samples.mkdir(parents=True)
    with journal.open_end(folder.events) as lines:
        journal.append(lines, RunStarted(run="ready", phases=("train",), num_steps=9, trigger="sks"))
        for step in (0, 3, *STEPS):
            for number, (name, prompt) in enumerate((("red", "a sks on red"), ("tree", "a sks in a tree"))):
                path = folder.samples / f"step_{step}_{name}.png"
                Image.new("RGB", (64, 64), (20 * step, 90, 120 * number)).save(path)
                journal.append(
                    lines, SampleReady(step=step, name=name, prompt=prompt, seed=5, path=str(path))
                )
        for step in STEPS:
            journal.append(lines, CheckpointSaved(step=step, path=str(folder.checkpoint(step))))
        journal.append(lines, RunFinished(step=9, path=""))


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Of a user who has a ComfyUI."""
    folder = tmp_path_factory.mktemp("home")
    comfyui_at(folder / "ComfyUI")
    return folder


@pytest.fixture(scope="module")
def app(tmp_path_factory, home):
    root = tmp_path_factory.mktemp("results")
    write_run(root)
    opened = start_app("app.py", root, HOME=str(home), USERPROFILE=str(home))
    yield opened
    assert opened.close() == ENDED, opened.heard


def test_choose_a_step_send_it_and_see_that_the_file_acts_as_trained(app, visit, home) -> None:
    page = visit(app.address)
    go(page, "Runs")
    page.get_by_role("button", name="Open ready").click()
    go(page, "Results")
    contact, card = page.locator("#contact"), page.locator("#exported")
    expect(contact.get_by_role("button")).to_have_count(8)
    expect(card).to_contain_text("step 9, the newest")
    expect(card).to_contain_text(str(home / "ComfyUI" / "models" / "loras"))
    screenshot(page, "results-sheet")

    contact.get_by_role("button", name="a sks in a tree, step 3").click()
    page.get_by_role("button", name="This one", exact=True).click()
    expect(page.locator("#trouble")).to_contain_text("step 3 is not kept, so it cannot be exported")
    page.locator("#trouble").get_by_role("button", name="Close").click()
    contact.get_by_role("button", name="a sks in a tree, step 6").click()
    page.get_by_role("button", name="This one", exact=True).click()
    expect(card).to_contain_text("step 6, chosen")
    expect(page.get_by_role("button", name="Not this one")).to_be_visible()

    page.get_by_role("button", name="Send to ComfyUI").click()
    expect(card).to_contain_text("204 of 204 tensors will load")
    lora_file = home / "ComfyUI" / "models" / "loras" / "ready-000006.safetensors"
    told = headers.metadata(lora_file)
    assert told["global_step"] == "6" and '"a sks in a tree"' in told["workflow"]
    page.get_by_role("button", name="Draw with the file").click()
    expect(card).to_contain_text("differ by")
    expect(card.locator(".pair img")).to_have_count(2)
    screenshot(page, "results-file")
    for label, ending in (("Workflow (.json)", ".json"), ("Sample with workflow (.png)", ".png")):
        with page.expect_download() as download:
            page.get_by_role("button", name=label).click()
        assert download.value.suggested_filename == f"ready-000006{ending}"


def test_strengths_are_compared_and_a_prompt_is_tried(app, visit) -> None:
    page = visit(app.address)
    go(page, "Results")
    page.get_by_role("button", name="Compare strengths").click()
    expect(page.locator("#strengths img")).to_have_count(1)
    page.get_by_label("Try a prompt").fill("a sks on the moon")
    page.get_by_role("button", name="Draw it").click()
    expect(page.locator("#tried img")).to_have_count(1)
    assert json.loads((app.root / "runs" / "ready" / "choice.json").read_text()) == {"step": 6}
    screenshot(page, "results-tried")

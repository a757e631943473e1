"""What ComfyUI is asked to draw is what the run drew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tuner.errors import TunerError
from tuner.events import RunStarted, SampleReady
from tuner.files import choice, journal
from tuner.files.run_folder import RunFolder
from tuner.settings.model import Model
from tuner.settings.run import RunSettings
from tuner.settings.sampling import SamplePrompt, Sampling
from tuner.training.drawing import scene


@pytest.fixture
def folder(settings: RunSettings) -> RunFolder:
    """A run with two prompts, drawn at steps 0, 3 and 6."""
    made = RunFolder(Path(settings.saving.output_dir))
    made.samples.mkdir(parents=True)
    with journal.open_end(made.events) as lines:
        journal.append(lines, RunStarted(run="run", phases=("train",), num_steps=6))
        for step in (0, 3, 6):
            for name in ("house", "tree"):
                path = made.samples / f"step_{step}_{name}.png"
                Image.new("RGB", (96, 64)).save(path)
                prompt = f"a sks {name}"
                journal.append(
                    lines, SampleReady(step=step, name=name, prompt=prompt, seed=11, path=str(path))
                )
    return made


def test_the_first_sample_of_the_step(settings: RunSettings, folder: RunFolder) -> None:
    shown = scene(settings, folder, 6, "run.safetensors")
    drawing = shown.drawing
    assert (drawing.prompt, drawing.seed, drawing.width, drawing.height) == ("a sks house", 11, 96, 64)
    assert (drawing.steps, drawing.guidance, drawing.lora) == (2, 3.0, "run.safetensors")
    assert drawing.models.transformer == "flux1-dev.safetensors"
    assert shown.picture == folder.samples / "step_6_house.png"


def test_a_checkpoint_between_samples_has_no_picture(settings: RunSettings, folder: RunFolder) -> None:
    shown = scene(settings, folder, 5, "run.safetensors")
    assert (shown.drawing.prompt, shown.picture) == ("a sks house", None)
    named = scene(settings, folder, 5, "run.safetensors", name="tree")
    assert (named.drawing.prompt, named.picture) == ("a sks tree", folder.samples / "step_3_tree.png")


def test_a_sample_that_is_not_there(settings: RunSettings, folder: RunFolder) -> None:
    with pytest.raises(TunerError, match="no sample 'dog'. It has: house, tree"):
        scene(settings, folder, 6, "run.safetensors", name="dog")


def test_without_samples_the_trigger_is_drawn(settings: RunSettings) -> None:
    named = tuple(replace(one, instance_prompt="sks house") for one in settings.datasets)
    bare = replace(settings, datasets=named)
    shown = scene(bare, RunFolder(Path(settings.saving.output_dir)), 6, "run.safetensors")
    assert (shown.drawing.prompt, shown.drawing.seed, shown.picture) == ("sks house", 3, None)
    assert (shown.drawing.width, shown.drawing.height) == (64, 64)


def test_the_chosen_strength_counts_before_the_prompts_own(settings: RunSettings, folder: RunFolder) -> None:
    settings = replace(settings, library=(SamplePrompt("house", "a sks house", 0.7),))
    assert scene(settings, folder, 6, "run.safetensors").drawing.strength == 0.7
    choice.choose_strength(folder, 0.85)
    assert scene(settings, folder, 6, "run.safetensors").drawing.strength == 0.85
    with pytest.raises(TunerError, match="lies between"):
        choice.choose_strength(folder, 40)


def test_real_guidance_and_the_shift_of_the_model(settings: RunSettings, folder: RunFolder) -> None:
    real = Sampling(validation_guidance_real=4.0, validation_num_inference_steps=3)
    drawing = scene(replace(settings, sampling=real), folder, 6, "x.safetensors").drawing
    assert drawing.real is not None and (drawing.real.scale, drawing.real.first) == (4.0, 2)
    gone = Model(model_flavour="dev", pretrained_model_name_or_path=str(folder.path / "gone"))
    assert scene(replace(settings, model=gone), folder, 6, "x.safetensors").drawing.shift == (1.15, 0.5)

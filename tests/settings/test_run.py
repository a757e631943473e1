"""RunSettings as a whole: the trigger, the prompts, the datasets with everything filled in."""

from __future__ import annotations

from tuner.settings.dataset import ImageDataset
from tuner.settings.dataset_defaults import Dataset
from tuner.settings.optimization import Optimization
from tuner.settings.run import RunSettings
from tuner.settings.sampling import SamplePrompt

FACE = ImageDataset(id="face", instance_data_dir="a")


def test_the_trigger_is_the_first_instance_prompt() -> None:
    off = ImageDataset(id="off", disabled=True, instance_prompt="no")
    several = ImageDataset(id="b", instance_prompt=("sks", "a sks"))
    assert RunSettings(datasets=(FACE, off, several)).trigger == "sks"
    assert RunSettings(datasets=(FACE,)).trigger == ""


def test_prompts_have_the_trigger_filled_in_names_too() -> None:
    library = (SamplePrompt("chef_<token>", "<token> as a chef, <token>!"),)
    sks = ImageDataset(id="a", instance_prompt="sks")
    assert RunSettings(datasets=(sks,), library=library).prompts == (
        SamplePrompt("chef_sks", "sks as a chef, sks!"),
    )
    assert RunSettings(library=library).prompts == library


def test_active_datasets_have_every_value() -> None:
    settings = RunSettings(
        dataset=Dataset(resolution=64, resolution_type="pixel", caption_strategy="textfile"),
        optimization=Optimization(train_batch_size=3),
        datasets=(
            FACE,
            ImageDataset(id="own", resolution=0.5, resolution_type="area", train_batch_size=1),
            ImageDataset(id="off", disabled=True),
            ImageDataset(id="never", probability=0),
        ),
    )
    face, own = settings.active_datasets
    assert (face.resolution, face.resolution_type, face.caption_strategy) == (64, "pixel", "textfile")
    assert (face.train_batch_size, own.train_batch_size) == (3, 1)
    assert (own.resolution, own.resolution_type) == (0.5, "area")
    assert settings.datasets[0] == FACE


def test_steps_win_over_unset_epochs() -> None:
    assert Optimization().num_epochs == 1
    assert Optimization(max_train_steps=10).num_epochs == 0
    assert Optimization(num_train_epochs=3).num_epochs == 3
    assert Optimization(max_train_steps=0, num_train_epochs=2).num_epochs == 2

"""A run with every source of chance and every memory of the objective switched on is resumed bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.training.conftest import plan_of
from tuner.events import StepDone
from tuner.files.run_folder import ADAPTER_FILE
from tuner.settings.dataset import ImageDataset
from tuner.settings.run import RunSettings
from tuner.training.control import Control
from tuner.training.run import run


@pytest.fixture
def everything(settings: RunSettings, pictures: Path, tmp_path: Path) -> RunSettings:
    """Segmented pictures, some that hold the model in place, and all that is drawn."""
    (house,) = settings.datasets
    masks = tmp_path / "masks"
    masks.mkdir()
    for path in pictures.glob("*.png"):
        with Image.open(path) as picture:
            mask = Image.new("RGB", picture.size)
        mask.paste((255, 255, 255), (0, 0, mask.width // 2, mask.height))
        mask.save(masks / path.name)
    segmentation = ImageDataset(
        id="masks",
        dataset_type="conditioning",
        conditioning_type="segmentation",
        instance_data_dir=str(masks),
    )
    held = replace(house, id="held", is_regularisation_data=True, timestep_sampling_offset=0.5)
    return replace(
        settings,
        datasets=(replace(house, conditioning_data="masks"), segmentation, held),
        objective=replace(
            settings.objective,
            flow_custom_timesteps=(0.2, 0.5, 0.9),
            flow_timesteps_mode="round-robin",
            flux_guidance_mode="random-range",
            flux_attention_masked_training=True,
            t5_padding="zero",
            masked_loss_probability=0.5,
            input_perturbation=0.2,
            input_perturbation_steps=5,
            loss_type="huber",
            tread_config={"routes": [{"selection_ratio": 0.5, "start_layer_idx": 1, "end_layer_idx": -1}]},
        ),
        optimization=replace(settings.optimization, optimizer="adamw_schedulefree", seed=-1),
        sampling=replace(settings.sampling, validation_disable=True),
    )


def _losses(settings: RunSettings, folder: Path, **optimization: object) -> list[float]:
    said: list[object] = []
    run(
        plan_of(replace(settings, saving=replace(settings.saving, output_dir=str(folder))), **optimization),
        said.append,
        Control(),
    )
    return [one.loss for one in said if isinstance(one, StepDone)]


def test_a_resumed_run_keeps_its_drawn_seed_and_every_chance(
    everything: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = iter((11, 11, 12))
    monkeypatch.setattr("tuner.plan.resume.secrets.randbelow", lambda most: next(seeds))
    whole = _losses(everything, tmp_path / "whole")
    assert _losses(everything, tmp_path / "broken", max_train_steps=4) == whole[:4]
    assert _losses(everything, tmp_path / "broken") == whole[4:]
    ours, theirs = (
        load_file(tmp_path / name / "checkpoint-6" / ADAPTER_FILE) for name in ("broken", "whole")
    )
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert _losses(everything, tmp_path / "another") != whole


def test_pictures_that_hold_the_model_teach_nothing_new(everything: RunSettings, tmp_path: Path) -> None:
    """Without dropout and TREAD an untrained adapter says what the model says: nothing is left to learn."""
    *_, held = everything.datasets
    exact = replace(
        everything,
        datasets=(held,),
        adapter=replace(everything.adapter, lora_dropout=0.0),
        objective=replace(everything.objective, tread_config=None),
    )
    assert _losses(exact, tmp_path / "held") == [0.0] * 6

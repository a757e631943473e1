from dataclasses import replace
from pathlib import Path

import pytest

from tests.tiny import write_tiny_flux
from tuner import machine
from tuner.dataset import scan
from tuner.plan import make
from tuner.plan.phases import Plan
from tuner.practice.pictures import write_practice_pictures
from tuner.settings.adapter import Adapter
from tuner.settings.dataset import ImageDataset
from tuner.settings.memory import Memory
from tuner.settings.model import Model
from tuner.settings.objective import Objective
from tuner.settings.optimization import Optimization
from tuner.settings.run import RunSettings
from tuner.settings.sampling import SamplePrompt, Sampling
from tuner.settings.saving import Saving


@pytest.fixture(scope="session")
def flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_flux(tmp_path_factory.mktemp("flux"))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_practice_pictures(folder)
    return folder


@pytest.fixture(scope="session")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A cache folder for tests to share that are not about encoding."""
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def settings(flux: Path, pictures: Path, tmp_path: Path) -> RunSettings:
    """Six steps on the tiny FLUX, with every source of chance switched on."""
    return RunSettings(
        model=Model(
            model_flavour="dev",
            pretrained_model_name_or_path=str(flux),
            mixed_precision="no",
            vae_dtype="fp32",
            tokenizer_max_length=24,
        ),
        memory=Memory(gradient_checkpointing=False),
        adapter=Adapter(lora_rank=4, lora_dropout=0.1),
        optimization=Optimization(
            train_batch_size=2,
            gradient_accumulation_steps=2,
            max_train_steps=6,
            num_train_epochs=0,
            learning_rate=1e-3,
            lr_scheduler="constant_with_warmup",
            lr_warmup_steps=2,
            optimizer="adamw_bf16",
            max_grad_norm=1.0,
            grad_clip_method="norm",
            seed=3,
        ),
        objective=Objective(caption_dropout_probability=0.3),
        datasets=(
            ImageDataset(
                id="house",
                instance_data_dir=str(pictures),
                resolution=64,
                resolution_type="pixel",
                caption_strategy="textfile",
            ),
        ),
        sampling=Sampling(
            validation_resolution="64x64",
            validation_num_inference_steps=2,
            validation_guidance=3.0,
            validation_step_interval=3,
            validation_disable_unconditional=True,
        ),
        library=(SamplePrompt("house", "a sks on a red background"),),
        saving=Saving(
            output_dir=str(tmp_path / "run"), checkpoint_step_interval=2, checkpoints_total_limit=0
        ),
    )


def plan_of(settings: RunSettings, **optimization: object) -> Plan:
    """The plan of `settings` with some optimization settings exchanged."""
    chosen = replace(settings, optimization=replace(settings.optimization, **optimization))
    return make.make(chosen, scan.scan(chosen), machine.read())

"""A plan counts steps, finds what is cached and where to go on, and refuses plainly what cannot work."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.recipe import write_checkpoint, write_recipe
from tuner import files
from tuner.dataset import scan
from tuner.errors import (
    CheckpointMismatch,
    DatasetTooSmall,
    ModelMissing,
    SettingsInvalid,
    TunerError,
    WillNotFit,
)
from tuner.machine import Reading
from tuner.plan import make, sources
from tuner.plan.phases import Plan

CPU = Reading(ram_used_gb=2.0, ram_total_gb=16.0, process_gb=0.1, disk_free_gb=100.0)
CARD = replace(CPU, vram_used_gb=0.5, vram_total_gb=24.0, gpu_name="RTX 3090")


def plan(config: Path, machine: Reading = CPU) -> Plan:
    settings = files.load_all(config).settings
    return make.make(settings, scan.scan(settings), machine)


def test_a_first_run(tmp_path):
    made = plan(write_recipe(tmp_path))
    assert (made.num_steps, made.first_step, made.resume_from) == (10, 0, None)
    assert made.folder.path == tmp_path / "run"
    assert [phase.name for phase in made.phases] == ["text", "latents", "load", "train", "export"]
    text, latents, _, train, _ = made.phases
    assert (
        text.total == 4 + 1
    )  # the captions, and the empty one that dropped captions and the control preview share
    assert (latents.total, train.total) == (4, 10)
    assert text.cached == latents.cached == train.cached == 0


def test_making_a_plan_writes_nothing(tmp_path):
    config = write_recipe(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    plan(config)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("config", "dataset", "steps"),
    [
        ({"max_train_steps": 0, "num_train_epochs": 3}, {}, 6),
        ({"max_train_steps": 0, "num_train_epochs": 3}, {"repeats": 2}, 18),
        ({"max_train_steps": 0, "num_train_epochs": 3, "gradient_accumulation_steps": 2}, {}, 3),
        ({"max_train_steps": 7}, {"repeats": 5}, 7),
    ],
)
def test_steps_come_from_the_steps_or_the_epochs(tmp_path, config, dataset, steps):
    assert plan(write_recipe(tmp_path, dataset=dataset, **config)).num_steps == steps


def test_what_is_cached_is_counted(tmp_path):
    config = write_recipe(tmp_path)
    names = sources.cache_names(files.load_all(config).settings)
    first = plan(config)
    keys = [names.latent_key(picture) for picture in first.index.pictures[:3]]
    for folder, key in [(names.latents, k) for k in keys] + [
        (names.prompts, names.prompt_key("sks number 1"))
    ]:
        (folder / key[:2]).mkdir(parents=True, exist_ok=True)
        (folder / key[:2] / f"{key}.safetensors").touch()
    text, latents, *_ = plan(config).phases
    assert (text.cached, latents.cached) == (1, 3)


def test_random_crops_are_drawn_once_and_the_same_each_time(tmp_path):
    config = write_recipe(tmp_path, dataset={"crop": True, "crop_style": "random"}, seed=3)
    assert all(picture.crop_top_left is not None for picture in plan(config).index.pictures)
    assert plan(config).index == plan(config).index


@pytest.mark.parametrize("asked", ["latest", "checkpoint-5", "elsewhere/run/checkpoint-5"])
def test_going_on_from_a_checkpoint(tmp_path, asked):
    config = write_recipe(tmp_path, resume_from_checkpoint=asked)
    write_checkpoint(tmp_path / "run", 2)
    write_checkpoint(tmp_path / "run", 5)
    made = plan(config)
    assert (made.first_step, made.resume_from) == (5, tmp_path / "run" / "checkpoint-5")
    assert made.phases[3].cached == 5


def test_starting_afresh_looks_at_no_checkpoint(tmp_path):
    write_checkpoint(tmp_path / "run", 5)
    assert plan(write_recipe(tmp_path, resume_from_checkpoint="")).resume_from is None


def refused(config: Path, kind: type[TunerError], machine: Reading = CPU) -> str:
    with pytest.raises(kind) as caught:
        plan(config, machine)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_run_that_has_had_all_its_steps(tmp_path):
    config = write_recipe(tmp_path)
    write_checkpoint(tmp_path / "run", 10)
    sentence = refused(config, SettingsInvalid)
    assert "already finished its 10 steps" in sentence
    assert "max_train_steps" in sentence


def test_a_checkpoint_that_is_not_there(tmp_path):
    config = write_recipe(tmp_path, resume_from_checkpoint="checkpoint-7")
    write_checkpoint(tmp_path / "run", 5)
    assert "checkpoint-5" in refused(config, CheckpointMismatch)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_checkpoint_without_a_state(tmp_path, content):
    config = write_recipe(tmp_path)
    (write_checkpoint(tmp_path / "run", 5) / "training_state.json").write_text(content, encoding="utf-8")
    assert "checkpoint-5" in refused(config, CheckpointMismatch)


def test_too_few_pictures(tmp_path):
    sentence = refused(write_recipe(tmp_path, train_batch_size=9), DatasetTooSmall)
    assert "repeats must be at least 2" in sentence


@pytest.mark.parametrize("place", ["nowhere/at/all", "./model", "/not/here"])
def test_a_model_folder_that_is_not_there(tmp_path, place):
    assert place in refused(write_recipe(tmp_path, pretrained_model_name_or_path=place), ModelMissing)


def test_a_model_file(tmp_path):
    """The parts that a single file lacks come from the flavour's own repository, and that is said."""
    from tests.flux import whole

    path = tmp_path / "flux.safetensors"
    config = write_recipe(tmp_path, pretrained_model_name_or_path=str(path))
    assert "flux.safetensors" in refused(config, ModelMissing)
    whole.write_file(path, whole.as_bfl(whole.tiny()))
    settings = files.load_all(config).settings
    assert sources.transformer_place(settings)[0] == str(path)
    assert sources.vae_place(settings) == sources.model_place(settings) == "black-forest-labs/FLUX.1-dev"
    (note,) = (one for one in plan(config).notes if "Only the transformer" in one)
    assert str(path) in note and "black-forest-labs/FLUX.1-dev" in note


def test_quantized_text_encoders_have_prompts_of_their_own(tmp_path):
    def key(**config: str) -> str:
        settings = files.load_all(write_recipe(tmp_path, **config)).settings
        return sources.cache_names(settings).prompt_key("a sks")

    usual = key()
    assert usual == key(text_encoder_1_precision="no_change", base_model_precision="int8-quanto")
    quantized = {
        key(text_encoder_1_precision="int8-quanto"),
        key(text_encoder_2_precision="int8-quanto"),
        key(text_encoder_2_precision="nf4-bnb"),
    }
    assert len(quantized | {usual}) == 4


def test_a_model_folder_without_a_transformer(tmp_path):
    config = write_recipe(tmp_path)
    (tmp_path / "model" / "transformer" / "config.json").unlink()
    assert "config.json" in refused(config, ModelMissing)


def test_a_real_model_is_refused_only_where_its_weights_are_too_large(tmp_path):
    config = write_recipe(tmp_path, pretrained_model_name_or_path="black-forest-labs/FLUX.1-dev")
    with pytest.raises(WillNotFit, match="no NVIDIA card"):
        make.refuse_misfit(plan(config, CPU), CPU)
    card = replace(CARD, vram_total_gb=23.0)
    assert plan(config, card).notes == ("To fit the card: the modulation layers off the card.",)
    all_on_it = {"block_streaming": "never", "modulation_eviction": "never"}
    config = write_recipe(tmp_path, pretrained_model_name_or_path="black-forest-labs/FLUX.1-dev", **all_on_it)
    tight = plan(config, card)
    make.refuse_misfit(tight, card)
    assert "RTX 3090 has 23 GB" in tight.notes[-1]
    assert tight.notes[-1].endswith("It fits with 'modulation_eviction' auto.")
    with pytest.raises(WillNotFit) as refusal:
        make.refuse_misfit(plan(config, replace(CARD, vram_total_gb=16.0)), replace(CARD, vram_total_gb=16.0))
    (advice,) = refusal.value.advice
    assert advice.change == {"memory.block_streaming": "auto"}
    roomy = replace(CARD, vram_total_gb=80.0)
    assert plan(config, roomy).notes == ()

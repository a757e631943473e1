"""The forecast's sizes are the model's own, and its sums those that were measured for FLUX.1."""

from dataclasses import replace

import pytest

from tests.recipe import write_recipe
from tuner import files
from tuner.dataset.index import DatasetEntry, DatasetIndex, Picture
from tuner.machine import Reading
from tuner.plan.memory import CUDA_GB, forecast

CPU = Reading(ram_used_gb=2.0, ram_total_gb=64.0, process_gb=0.1, disk_free_gb=100.0)
CARD = replace(CPU, vram_used_gb=0.5, vram_total_gb=80.0, gpu_name="H100")


def pictures_of(tmp_path, edge: int) -> DatasetIndex:
    size = (edge, edge)
    one = Picture(tmp_path / "a.png", "pictures", "0" * 40, size, size, size, (0, 0), "1.0", ("sks",))
    return DatasetIndex((DatasetEntry("pictures", (one,), 0, 1.0, 1),))


@pytest.mark.parametrize(("edge", "measured"), [(512, 24.1), (1024, 25.8)])
def test_training_flux_in_bf16_takes_what_was_worked_out(tmp_path, edge, measured):
    """Batch 1, rank 16 on all layers, checkpointing; the worked-out sums, within 10 %."""
    recipe = write_recipe(
        tmp_path,
        pretrained_model_name_or_path="black-forest-labs/FLUX.1-dev",
        train_batch_size=1,
        flux_lora_target="all+ffs",
        optimizer="bnb-adamw8bit",
        validation_disable=True,
    )
    needs = forecast(files.load_all(recipe).settings, pictures_of(tmp_path, edge), CARD)
    assert needs["train"].vram_gb == pytest.approx(measured, rel=0.1)
    assert needs["text"].vram_gb < needs["load"].vram_gb <= needs["train"].vram_gb


def test_without_a_card_everything_lies_in_main_memory(tmp_path):
    settings = files.load_all(write_recipe(tmp_path)).settings
    needs = forecast(settings, pictures_of(tmp_path, 64), CPU)
    assert all(need.vram_gb == 0 for need in needs.values())
    assert 0 < needs["train"].ram_gb < 2


def test_less_checkpointing_and_larger_batches_take_more(tmp_path):
    settings = files.load_all(write_recipe(tmp_path)).settings
    index = pictures_of(tmp_path, 1024)

    def train(**change) -> float:
        return forecast(files.changed(settings, change), index, CARD)["train"].vram_gb

    base = train()
    assert train(**{"memory.gradient_checkpointing": False}) > base
    assert train(**{"optimization.train_batch_size": 8}) > base
    assert train(**{"adapter.lora_rank": 256}) > base


FLUX_GB = {"no_change": 22.2, "int8-quanto": 11.16, "int4-quanto": 5.98, "nf4-bnb": 5.81, "int2-quanto": 3.22}


@pytest.mark.parametrize(("name", "counted"), FLUX_GB.items())
def test_the_weights_of_flux_in_each_precision(tmp_path, name, counted):
    """Sizes worked out from the architecture: parameters times the bytes of a weight with its scales."""
    recipe = write_recipe(
        tmp_path,
        pretrained_model_name_or_path="black-forest-labs/FLUX.1-dev",
        base_model_precision=name,
        text_encoder_2_precision=name,
    )
    needs = forecast(files.load_all(recipe).settings, pictures_of(tmp_path, 64), CARD)
    assert needs["load"].vram_gb - CUDA_GB == pytest.approx(counted, rel=0.03)
    assert needs["text"].vram_gb - CUDA_GB == pytest.approx(0.23 + 8.89 * counted / 22.2, rel=0.05)


def test_fewer_checkpointed_blocks_take_more_and_waiting_inputs_less(tmp_path):
    place = "black-forest-labs/FLUX.1-dev"
    settings = files.load_all(write_recipe(tmp_path, pretrained_model_name_or_path=place)).settings
    index = pictures_of(tmp_path, 1024)

    def train(**change) -> float:
        return forecast(files.changed(settings, change), index, CARD)["train"].vram_gb

    interval = "memory.gradient_checkpointing_interval"
    steps = [train(**{interval: number}) for number in (1, 2, 4)]
    assert steps == sorted(steps) and steps[0] == train() < steps[-1]
    assert steps[-1] < train(**{"memory.gradient_checkpointing": False})
    assert train(**{"memory.gradient_checkpointing_backend": "unsloth"}) < train()


def test_tiles_spare_memory_at_1024_px(tmp_path):
    settings = files.load_all(write_recipe(tmp_path)).settings
    tiled = files.changed(settings, {"memory.vae_enable_tiling": True})
    large, small = pictures_of(tmp_path, 1024), pictures_of(tmp_path, 512)
    assert forecast(tiled, large, CARD)["latents"] == forecast(settings, small, CARD)["latents"]
    assert forecast(tiled, large, CARD)["latents"] < forecast(settings, large, CARD)["latents"]

"""The levers follow from the free memory: nothing leaves the card that fits, and what must leave it does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.plan.test_memory import CARD, CPU, pictures_of
from tests.recipe import write_recipe
from tuner import files
from tuner.errors import SettingsInvalid
from tuner.machine import Reading
from tuner.plan import fitting, levers
from tuner.plan.levers import Levers
from tuner.plan.memory import forecast
from tuner.plan.sizes import Shape, shape
from tuner.settings.run import RunSettings

BLOCKS = Shape().blocks
FLUX = "black-forest-labs/FLUX.1-dev"


def card(gb: float) -> Reading:
    return replace(CARD, vram_total_gb=gb, vram_used_gb=0.0)


def flux(folder: Path, **change: Any) -> RunSettings:
    """FLUX.1 at 1024 px, batch 1, a LoRA on everything, in 8 bits."""
    own = {"base_model_precision": "int8-quanto", "flux_lora_target": "all+ffs", **change}
    recipe = write_recipe(
        folder, pretrained_model_name_or_path=FLUX, train_batch_size=1, validation_disable=True, **own
    )
    return files.load_all(recipe).settings


def chosen(folder: Path, gb: float, **change: Any) -> Levers:
    return fitting.choose(flux(folder, **change), pictures_of(folder, 1024), card(gb))


@pytest.mark.parametrize("precision", ["no_change", "int8-quanto", "nf4-bnb"])
def test_what_is_chosen_fits_and_less_would_not(tmp_path: Path, precision: str) -> None:
    settings, index = flux(tmp_path, base_model_precision=precision), pictures_of(tmp_path, 1024)
    streamed = []
    for gb in (6.0, 8.0, 10.0, 12.0, 16.0, 24.0, 48.0):
        found = fitting.choose(settings, index, card(gb))
        need = forecast(settings, index, card(gb), found)["train"].vram_gb
        if len(found.streamed) < len(BLOCKS):
            assert need <= fitting.MARGIN * gb
        if found.streamed:
            fewer = fitting.with_streamed(found, BLOCKS, len(found.streamed) - 1)
            assert forecast(settings, index, card(gb), fewer)["train"].vram_gb > fitting.MARGIN * gb
            assert found.evicts
        streamed.append(len(found.streamed))
    assert streamed == sorted(streamed, reverse=True) and streamed[-1] == 0


def test_a_card_of_6_gb_trains_at_1024_px(tmp_path: Path) -> None:
    found = chosen(tmp_path, 6.0)
    assert found.evicts and found.streamed
    need = forecast(flux(tmp_path), pictures_of(tmp_path, 1024), card(6.0), found)["train"]
    assert need.vram_gb <= 6.0 and 8.0 < need.ram_gb < 16.0


def test_unquantized_flux_fits_24_gb_without_its_modulation(tmp_path: Path) -> None:
    found = chosen(tmp_path, 24.0, base_model_precision="no_change")
    assert found.evicts and not found.streamed


def test_room_that_is_left_is_filled_from_the_end(tmp_path: Path) -> None:
    found = chosen(tmp_path, 24.0)
    assert not found.evicts and 0 < len(found.checkpointed) < len(BLOCKS)
    assert found.checkpointed == BLOCKS[: len(found.checkpointed)]
    assert chosen(tmp_path, 80.0).checkpointed == ()
    assert chosen(tmp_path, 80.0, checkpointing_fill="never").checkpointed == BLOCKS
    assert chosen(tmp_path, 80.0, gradient_checkpointing_interval=2).checkpointed == BLOCKS[::2]


def test_nothing_is_chosen_without_a_card(tmp_path: Path) -> None:
    settings = flux(tmp_path)
    assert fitting.choose(settings, pictures_of(tmp_path, 1024), CPU) == levers.asked(settings, BLOCKS)


def test_never_is_never(tmp_path: Path) -> None:
    assert chosen(tmp_path, 6.0, block_streaming="never").streamed == ()
    assert not chosen(tmp_path, 6.0, modulation_eviction="never").evicts
    assert chosen(tmp_path, 6.0, dynamo_backend="inductor").streamed == ()


def test_a_number_of_blocks_is_that_number(tmp_path: Path) -> None:
    found = chosen(tmp_path, 80.0, musubi_blocks_to_swap=10)
    assert len(found.streamed) == 10 and set(found.streamed) <= set(found.checkpointed)
    off = chosen(tmp_path, 80.0, musubi_blocks_to_swap=10, gradient_checkpointing=False)
    assert off.checkpointed == off.streamed


def test_what_trains_modulation_keeps_it_on_the_card(tmp_path: Path) -> None:
    assert not chosen(tmp_path, 6.0, flux_lora_target="ai-toolkit").evicts
    with pytest.raises(SettingsInvalid, match="acts on modulation layers"):
        chosen(tmp_path, 6.0, modulation_eviction="always", flux_lora_target="ai-toolkit")


def test_an_assistant_leaves_it_free_to_go(tmp_path: Path) -> None:
    """It acts on the outputs of layers, also on those that come from a table."""
    assert chosen(tmp_path, 6.0, assistant_lora_path="some/assistant").evicts


def test_text_encoders_come_layer_by_layer_to_a_small_card(tmp_path: Path) -> None:
    assert chosen(tmp_path, 8.0).text_by_layer and not chosen(tmp_path, 16.0).text_by_layer
    assert not chosen(tmp_path, 8.0, text_encoder_streaming="never").text_by_layer
    assert chosen(tmp_path, 80.0, text_encoder_streaming="always").text_by_layer


def test_pictures_are_encoded_singly_for_a_small_card(tmp_path: Path) -> None:
    assert chosen(tmp_path, 6.0).pictures_singly and not chosen(tmp_path, 16.0).pictures_singly
    assert chosen(tmp_path, 80.0, vae_enable_slicing=True).pictures_singly
    needs = forecast(flux(tmp_path), pictures_of(tmp_path, 1024), card(6.0), chosen(tmp_path, 6.0))
    assert all(one.vram_gb <= 6.0 for one in needs.values())


def test_streamed_blocks_are_spread_evenly() -> None:
    assert levers.spread(BLOCKS, 0) == ()
    assert levers.spread(BLOCKS, 57) == levers.spread(BLOCKS, 99) == BLOCKS
    assert levers.spread("abcdefghij", 2) == ("c", "h")
    assert len(set(levers.spread(BLOCKS, 23))) == 23


def test_notches_lead_to_the_least_and_no_further(tmp_path: Path) -> None:
    settings, index = flux(tmp_path), pictures_of(tmp_path, 1024)
    now: Levers | None = fitting.choose(settings, index, card(80.0))
    needs = []
    while now is not None:
        last = now
        needs.append(forecast(settings, index, card(80.0), now)["train"].vram_gb)
        now = fitting.lower(settings, now)
    assert needs == sorted(needs, reverse=True) and len(needs) > 8
    assert (last.evicts, last.streamed, last.inputs_wait) == (True, BLOCKS, True)


def test_the_smallest_change_that_fits(tmp_path: Path) -> None:
    settings = flux(tmp_path, base_model_precision="no_change", block_streaming="never")
    index, small = pictures_of(tmp_path, 512), replace(card(8.0), ram_total_gb=12.0)
    change = fitting.smallest_change(settings, index, small)
    assert change == {"memory.base_model_precision": "int4-quanto"}
    assert fitting.smallest_change(settings, index, replace(CPU, ram_total_gb=4.0)) is None
    assert shape(settings).num_blocks == 57

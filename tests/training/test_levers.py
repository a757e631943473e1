"""What stays off the card, or is computed twice, changes no loss of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.conftest import plan_of
from tuner.adapters.adapter import Adapter
from tuner.events import Event, StepDone
from tuner.files.change import changed
from tuner.flux.modulation import Row, modulation_of
from tuner.plan.levers import Levers, asked
from tuner.plan.memory import shape
from tuner.settings.run import RunSettings
from tuner.training import models
from tuner.training.control import Control
from tuner.training.hardware import Hardware
from tuner.training.prepare import load_with_adapter
from tuner.training.run import run

FLOAT32 = Hardware(torch.device("cpu"), torch.float32)


@pytest.fixture
def quiet(settings: RunSettings, encoded: str) -> RunSettings:
    """Two steps without pictures, with the caches that all tests here share."""
    change = {"optimization.max_train_steps": 2, "sampling.validation_disable": True}
    return changed(settings, {"dataset.cache_dir": encoded, **change})


def _losses(settings: RunSettings, folder: Path, **change: Any) -> list[float]:
    said: list[Event] = []
    chosen = changed(settings, {"saving.output_dir": str(folder), **change})
    run(plan_of(chosen), said.append, Control())
    return [one.loss for one in said if isinstance(one, StepDone)]


@pytest.mark.parametrize("precision", ["no_change", "int8-quanto", "nf4-bnb"])
def test_streamed_blocks_give_the_same_losses_bit_for_bit(
    quiet: RunSettings, tmp_path: Path, precision: str
) -> None:
    base = changed(quiet, {"memory.base_model_precision": precision})
    streamed = _losses(base, tmp_path / "streamed", **{"memory.musubi_blocks_to_swap": 4})
    assert streamed == _losses(base, tmp_path / "plain")


def test_group_offload_streams_every_block(quiet: RunSettings, tmp_path: Path) -> None:
    all_of_them = changed(quiet, {"memory.enable_group_offload": True})
    assert asked(all_of_them, shape(quiet).blocks).streamed == shape(quiet).blocks
    assert _losses(all_of_them, tmp_path / "all") == _losses(quiet, tmp_path / "plain")


def test_a_table_of_modulation_gives_the_same_losses_but_for_rounding(
    quiet: RunSettings, tmp_path: Path
) -> None:
    evicted = _losses(quiet, tmp_path / "evicted", **{"memory.modulation_eviction": "always"})
    assert evicted == pytest.approx(_losses(quiet, tmp_path / "plain"), rel=1e-5)


def test_both_with_checkpointing_and_inputs_that_wait(quiet: RunSettings, tmp_path: Path) -> None:
    saving = {
        "memory.modulation_eviction": "always",
        "memory.musubi_blocks_to_swap": 3,
        "memory.gradient_checkpointing": True,
        "memory.gradient_checkpointing_backend": "unsloth",
    }
    assert _losses(quiet, tmp_path / "saving", **saving) == pytest.approx(
        _losses(quiet, tmp_path / "plain"), rel=1e-5
    )


def test_modulation_layers_are_not_even_read(quiet: RunSettings) -> None:
    transformer = models.load_transformer(quiet, FLOAT32, Levers(evicts=True))
    assert sum(isinstance(module, Row) for module in transformer.modules()) == 10
    assert modulation_of(transformer) is not None
    assert modulation_of(models.load_transformer(quiet, FLOAT32)) is None


@pytest.mark.parametrize("change", [{"adapter.use_dora": True}, {"adapter.lora_init_type": "pissa"}])
def test_adapters_see_the_weights_of_streamed_blocks(quiet: RunSettings, change: dict[str, Any]) -> None:
    chosen = changed(quiet, change)
    streamed = Levers(streamed=shape(quiet).blocks)
    ours, theirs = (load_with_adapter(chosen, FLOAT32, one)[1] for one in (streamed, Levers()))
    _same(ours, theirs)


def _same(ours: Adapter, theirs: Adapter) -> None:
    mine, yours = ours.tensors(), theirs.tensors()
    assert mine.keys() == yours.keys()
    assert all(torch.equal(mine[name], yours[name]) for name in yours)

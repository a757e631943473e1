"""A compiled transformer trains as the plain one does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training.conftest import plan_of
from tuner.events import Event, StepDone
from tuner.settings.run import RunSettings
from tuner.training.control import Control
from tuner.training.run import run


def _losses(settings: RunSettings, folder: Path, backend: str) -> list[float]:
    said: list[Event] = []
    own = replace(settings, saving=replace(settings.saving, output_dir=str(folder)))
    run(plan_of(own, dynamo_backend=backend, max_train_steps=2), said.append, Control())
    return [one.loss for one in said if isinstance(one, StepDone)]


@pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf"
)  # torch's own tracing
def test_compiled_blocks_give_the_same_losses(settings: RunSettings, tmp_path: Path, encoded: str) -> None:
    """With the tracing of torch.compile alone: the code that inductor makes takes minutes."""
    torch.compiler.reset()
    plain = replace(
        settings,
        dataset=replace(settings.dataset, cache_dir=encoded),
        adapter=replace(settings.adapter, lora_dropout=0.0),
        memory=replace(settings.memory, gradient_checkpointing=True),
        sampling=replace(settings.sampling, validation_disable=True),
    )
    compiled = _losses(plain, tmp_path / "compiled", "eager")
    assert compiled == pytest.approx(_losses(plain, tmp_path / "plain", "no"), rel=1e-5)

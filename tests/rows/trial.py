"""What every row of every catalog must show: it trains, it can be taken up again, and its export is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tests.rows.conftest import NUM_STEPS
from tuner import machine
from tuner.dataset import scan
from tuner.errors import Problem, SettingsInvalid
from tuner.events import Event, Exported, RunFinished, StepDone
from tuner.export.loader import patches
from tuner.files import changed
from tuner.files.run_folder import ADAPTER_FILE
from tuner.flux.objective import Conditions, predict_velocity
from tuner.plan import make
from tuner.settings.fields import Spec
from tuner.settings.run import RunSettings, dataset_specs, specs
from tuner.training import live, prepare, run
from tuner.training.control import Control
from tuner.training.hardware import Hardware


@dataclass(frozen=True)
class Trial:
    """`outputs` are of the trained transformer, `untrained` of the same one without its adapter's effect, and
    `again` of a fresh one with the adapter out of the checkpoint.
    """

    said: tuple[Event, ...]
    outputs: Tensor
    untrained: Tensor
    again: Tensor
    export: Path

    @property
    def losses(self) -> list[float]:
        return [event.loss for event in self.said if isinstance(event, StepDone)]


def train(settings: RunSettings, change: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> Trial:
    """Three steps from pictures to export, and the same adapter put into a fresh transformer."""
    settings = changed(settings, change)
    plan = make.make(settings, scan.scan(settings), machine.read())
    kept: list[prepare.Prepared] = []
    said: list[Event] = []

    def prepared(*arguments: Any) -> prepare.Prepared:
        kept.append(prepare.prepare(*arguments))
        return kept[0]

    monkeypatch.setattr(live, "prepare", prepared)
    # Looking for garbage takes more time than three steps of a model this small.
    monkeypatch.setattr(run, "free_memory", lambda device: None)
    run.run(plan, said.append, Control())
    hardware = run.find_hardware(plan.settings, said.append)
    checkpoint = plan.folder.checkpoint(NUM_STEPS)
    fresh, adapter = prepare.load_with_adapter(plan.settings, hardware)
    adapter.load(load_file(checkpoint / ADAPTER_FILE))
    trained = kept[0].trainee.transformer
    with kept[0].trainee.finished():
        now = outputs(trained, hardware)
        with kept[0].adapter.disabled():
            untrained = outputs(trained, hardware)
    (exported,) = (event for event in said if isinstance(event, Exported))
    return Trial(tuple(said), now, untrained, outputs(fresh, hardware), Path(exported.path))


@torch.no_grad()
def outputs(transformer: nn.Module, hardware: Hardware) -> Tensor:
    """(1, 16, 8, 8) velocity for one fixed input."""
    transformer.eval()
    dice = torch.Generator().manual_seed(11)
    width = transformer.config.joint_attention_dim
    noisy, embeddings, pooled = (
        torch.randn(shape, generator=dice).to(hardware.dtype)
        for shape in ((1, 16, 8, 8), (1, 8, width), (1, width))
    )
    guidance = torch.ones(1) if transformer.config.guidance_embeds else None
    conditions = Conditions(pooled, embeddings)
    with torch.autocast("cpu", hardware.dtype, enabled=hardware.dtype == torch.bfloat16):
        return predict_velocity(transformer, noisy, torch.tensor([0.6]), conditions, guidance)


def works(path: str) -> list[Any]:
    """The values of a setting with choices that can be trained with."""
    spec = _spec(path)
    return [one for one in spec.choices if spec.built is None or one in spec.built]


def refused(path: str) -> list[Any]:
    return [one for one in _spec(path).choices if one not in works(path)]


def _spec(path: str) -> Spec:
    (found,) = (spec for spec in (*specs(), *dataset_specs()) if spec.path == path)
    return found


def refusal(settings: RunSettings, change: Mapping[str, Any]) -> Problem:
    """The one thing that is said about a row that does not work: a reason, and what would work instead."""
    with pytest.raises(SettingsInvalid) as caught:
        changed(settings, change)
    (problem,) = caught.value.problems
    assert " because " in problem.message and problem.change
    changed(settings, {**change, **problem.change})
    return problem


def check(trial: Trial) -> None:
    assert isinstance(trial.said[-1], RunFinished)
    assert len(trial.losses) == NUM_STEPS and all(math.isfinite(loss) for loss in trial.losses)
    assert not torch.equal(trial.outputs, trial.untrained), "the adapter did not change"
    assert torch.equal(trial.outputs, trial.again), "the checkpoint gives other outputs"
    exported = load_file(trial.export)
    found, strange = patches(exported, "comfyui")
    assert found and not strange
    assert all(tensor.isfinite().all() for tensor in exported.values())

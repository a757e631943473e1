"""A trainer and a painter behind the door that take no time, and the command line called as a function."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from tests.recipe import write_checkpoint
from tuner import cli
from tuner.events import CheckpointSaved, Exported, RunFinished, RunStarted, RunStopped, StepDone


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        """Standard output as the one object that it must be."""
        return json.loads(self.out)


@pytest.fixture
def call(capsys):
    """call("train", folder) -> Result."""

    def run(*words) -> Result:
        capsys.readouterr()
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as ended:
            code = int(ended.code or 0)
        written = capsys.readouterr()
        return Result(code, written.out, written.err)

    return run


def trained(plan, emit, control) -> None:
    emit(
        RunStarted(
            run=plan.folder.name,
            phases=tuple(phase.name for phase in plan.phases),
            num_steps=plan.num_steps,
            first_step=plan.first_step,
        )
    )
    if control.stop.is_set():
        emit(RunStopped(step=plan.first_step))
        return
    emit(StepDone(step=plan.num_steps, loss=0.2, lr=1e-4, grad_norm=0.1, seconds=0.5))
    checkpoint = write_checkpoint(plan.folder.path, plan.num_steps)
    emit(CheckpointSaved(step=plan.num_steps, path=str(checkpoint)))
    lora = plan.folder.exports / "cat.safetensors"
    lora.parent.mkdir(exist_ok=True)
    lora.touch()
    emit(Exported(dialect="comfyui", path=str(lora), num_tensors=6))
    emit(RunFinished(step=plan.num_steps, path=str(lora)))


@pytest.fixture
def trainer(monkeypatch):
    """Puts a function in the trainer's place; without a call, one that trains at once."""

    def use(run) -> None:
        monkeypatch.setitem(sys.modules, "tuner.training.run", SimpleNamespace(run=run))

    use(trained)
    return use


@pytest.fixture
def painter(monkeypatch):
    """Paints grey pictures and keeps what it was asked for."""
    asked = []

    def render(settings, requests, adapter):
        asked.append((settings, tuple(requests), adapter))
        return (Image.new("RGB", (64, 64), "grey") for _ in requests)

    monkeypatch.setitem(sys.modules, "tuner.training.previews", SimpleNamespace(render=render))
    return asked


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """An empty working folder, which is where `practice` makes its run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path

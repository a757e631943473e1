"""A trainer that only plays: the events of a run with drawn pictures, at any speed, without a model."""

from __future__ import annotations

import math
import os
import time

from PIL import Image

from tests.recipe import write_checkpoint
from tuner.errors import Advice, LossDiverged
from tuner.events import (
    CheckpointSaved,
    Emit,
    Exported,
    Paused,
    PhaseProgress,
    PhaseSkipped,
    PhaseStarted,
    Resumed,
    RunFinished,
    RunStarted,
    RunStopped,
    SampleReady,
    StepDone,
    Warned,
)
from tuner.plan.phases import Plan
from tuner.training.control import Control

STEP_SECONDS = float(os.environ.get("PLAYER_STEP_SECONDS", "0.05"))


def captions(pictures, request):
    """What `training.captioner.captions` gives, without looking."""
    for path in pictures:
        time.sleep(STEP_SECONDS)
        yield path, f"{path.stem}, {request.instruction}"


def run(plan: Plan, emit: Emit, control: Control) -> None:
    """What `training.run.run` says, without doing it; a run with the name "fail" fails at step 3."""
    names = tuple(phase.name for phase in plan.phases)
    emit(
        RunStarted(
            run=plan.folder.name,
            phases=names,
            num_steps=plan.num_steps,
            first_step=plan.first_step,
            trigger=plan.settings.trigger,
        )
    )
    _encode(plan, emit)
    emit(PhaseStarted(name="train", total=plan.num_steps))
    if plan.first_step == 0:
        _sample(plan, 0, emit)
    if not _steps(plan, emit, control):
        return
    emit(PhaseStarted(name="export"))
    path = plan.folder.exports / f"{plan.folder.name}-{plan.num_steps:06}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((2).to_bytes(8, "little") + b"{}" + b"\0" * 760_000)
    emit(Exported(dialect="comfyui", path=str(path), num_tensors=186))
    emit(RunFinished(step=plan.num_steps, path=str(path)))


def _encode(plan: Plan, emit: Emit) -> None:
    emit(PhaseStarted(name="text", total=len(plan.index.pictures)))
    for number in range(len(plan.index.pictures)):
        time.sleep(STEP_SECONDS)
        emit(PhaseProgress(name="text", done=number + 1))
    emit(PhaseSkipped(name="latents", why="all pictures are encoded already"))
    emit(PhaseStarted(name="load"))
    time.sleep(STEP_SECONDS)


def _steps(plan: Plan, emit: Emit, control: Control) -> bool:
    """False where the user stopped it."""
    every = max(plan.settings.sampling.validation_step_interval, 1)
    for step in range(plan.first_step + 1, plan.num_steps + 1):
        if step == 3 and plan.folder.name == "fail":
            raise LossDiverged(
                f"The loss is not a number any more (step {step}).",
                Advice("Learn more slowly.", {"optimization.learning_rate": 1e-5}),
            )
        time.sleep(STEP_SECONDS)
        loss = 0.3 + 0.4 * math.exp(-step / 60) + 0.05 * math.sin(step * 7)
        emit(StepDone(step=step, loss=loss, lr=6e-4, grad_norm=0.2, seconds=STEP_SECONDS))
        if step == 5:
            emit(Warned(text="Step 5 took longer than the others."))
        if step % every == 0 or _asked(control.sample_now):
            _sample(plan, step, emit)
        if step == plan.num_steps or step % 100 == 0 or _asked(control.save_now) or control.stop.is_set():
            _save(plan, step, emit)
        if control.stop.is_set():
            emit(RunStopped(step=step))
            return False
        _pause(step, emit, control)
    return True


def _asked(flag) -> bool:
    asked = flag.is_set()
    flag.clear()
    return asked


def _pause(step: int, emit: Emit, control: Control) -> None:
    if not control.pause.is_set():
        return
    emit(Paused(step=step))
    while control.pause.is_set() and not control.stop.is_set():
        time.sleep(0.02)
    emit(Resumed(step=step))


def _sample(plan: Plan, step: int, emit: Emit) -> None:
    """A practice picture that comes out of noise with the steps."""
    plan.folder.samples.mkdir(parents=True, exist_ok=True)
    pictures = plan.index.pictures
    for number, one in enumerate(plan.settings.prompts):
        with Image.open(pictures[number % len(pictures)].path) as opened:
            clear = opened.convert("RGB").resize((64, 64))
        noise = Image.effect_noise((64, 64), 120).convert("RGB")
        path = plan.folder.samples / f"step_{step}_{one.name}.png"
        Image.blend(noise, clear, min(step / min(plan.num_steps, 400), 1)).save(path)
        emit(SampleReady(step=step, name=one.name, prompt=one.prompt, seed=number, path=str(path)))


def _save(plan: Plan, step: int, emit: Emit) -> None:
    emit(CheckpointSaved(step=step, path=str(write_checkpoint(plan.folder.path, step))))

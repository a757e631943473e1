"""Executes a plan, phase by phase; the only place that decides when to preview, save, pause and stop."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from tuner.errors import Advice, LossDiverged, OutOfVram
from tuner.events import (
    Emit,
    Exported,
    Paused,
    PhaseProgress,
    PhaseSkipped,
    Resumed,
    RunFinished,
    RunStarted,
    RunStopped,
    StepDone,
    Warned,
)
from tuner.files.run_folder import ADAPTER_FILE, EMA_ADAPTER_FILE
from tuner.plan import fitting, sources
from tuner.plan.levers import words
from tuner.plan.phases import Plan
from tuner.plan.sizes import shape
from tuner.training.control import Control
from tuner.training.due import checkpoint_due, evaluation_due, preview_due, preview_due_at_start, rolling_due
from tuner.training.encode import encode_pictures, encode_texts
from tuner.training.exporting import Finished, export_adapter
from tuner.training.feed import Caches, open_caches
from tuner.training.hardware import Hardware, find_hardware, free_memory
from tuner.training.live import Live, start
from tuner.training.loop import Step, StepTooLarge, train_steps
from tuner.training.meter import Meter

log = logging.getLogger(__name__)

_PAUSE_POLL_SECONDS = 0.2


def run(plan: Plan, emit: Emit, control: Control) -> None:
    """Runs all phases. Emits every event but RunFailed: whoever started it turns exceptions into that."""
    emit(
        RunStarted(
            run=plan.folder.name,
            phases=tuple(phase.name for phase in plan.phases),
            num_steps=plan.num_steps,
            first_step=plan.first_step,
            trigger=plan.settings.trigger,
        )
    )
    for damaged in plan.damaged:
        shutil.rmtree(damaged, ignore_errors=True)
    hardware, caches = find_hardware(plan.settings, emit), open_caches(plan.settings)
    _encode(plan, caches, Meter(plan, hardware, emit))
    if control.stop.is_set():
        emit(RunStopped(step=plan.first_step))
        return
    last = _train(plan, caches, hardware, emit, control)
    if last is None:
        return
    meter = Meter(plan, hardware, emit)
    meter.begin("export")
    written = export_checkpoint(plan, last, plan.num_steps, emit)
    meter.end("export")
    emit(RunFinished(step=plan.num_steps, path=str(written)))


def export_checkpoint(plan: Plan, checkpoint: Path, step: int, emit: Emit) -> Path:
    """A checkpoint's adapter as a file for ComfyUI, in the run folder's `exports`, and beside it the running
    mean where there is one; -> the former, which is written last, as the newest.
    """
    plan.folder.exports.mkdir(parents=True, exist_ok=True)
    stem = f"{plan.folder.name}-{step:06}"
    there = [(EMA_ADAPTER_FILE, "-ema")] if (checkpoint / EMA_ADAPTER_FILE).exists() else []
    for file, ending in (*there, (ADAPTER_FILE, "")):
        to = plan.folder.exports / f"{stem}{ending}.safetensors"
        report = export_adapter(Finished(plan.settings, plan.folder, checkpoint, step, file), to)
        emit(
            Exported(
                dialect=report.dialect,
                path=str(report.path),
                num_tensors=report.num_tensors,
                check=report.verdict.sentence,
            )
        )
        for note in report.notes:
            emit(Warned(text=note))
    return report.path


def _encode(plan: Plan, caches: Caches, meter: Meter) -> None:
    """Phases 1 and 2, each skipped when the cache holds everything."""
    hardware = meter.hardware
    texts, pictures = sources.texts(plan.settings, plan.index), plan.index.encoded
    missing_texts, missing_pictures = caches.missing_texts(texts), caches.missing_pictures(pictures)
    encoding_texts = encode_texts(plan.settings, missing_texts, caches, hardware, plan.levers.text_by_layer)
    singly = plan.levers.pictures_singly
    encoding_pictures = encode_pictures(plan.settings, missing_pictures, caches, hardware, singly)
    _follow("text", encoding_texts, len(texts), len(missing_texts), meter)
    _follow("latents", encoding_pictures, len(pictures), len(missing_pictures), meter)


def _follow(name: str, encoding: Iterator[int], total: int, num_missing: int, meter: Meter) -> None:
    """Runs an encoder, which loads its model at the first `next`; not at all where nothing is missing."""
    if not num_missing:
        meter.emit(PhaseSkipped(name=name, why=f"all {total} are encoded already"))
        return
    meter.begin(name, total)
    done = total - num_missing
    for number in encoding:
        done += number
        meter.emit(PhaseProgress(name=name, done=done))
    meter.end(name)


def _train(plan: Plan, caches: Caches, hardware: Hardware, emit: Emit, control: Control) -> Path | None:
    """Phases 3 and 4; the last checkpoint, or None when the user stopped the run.

    Both begin again at the very step where the card is too small for them, with less on it, and after a
    pause, in which nothing is left on it.
    """
    outcome: Path | Plan | None = plan
    while isinstance(outcome, Plan):
        outcome = _attempt(outcome, caches, hardware, emit, control)
        free_memory(hardware.device)
        if isinstance(outcome, Plan) and not _wait_out_pause(outcome.first_step, control, emit):
            emit(RunStopped(step=outcome.first_step))
            return None
    return outcome


def _attempt(
    plan: Plan, caches: Caches, hardware: Hardware, emit: Emit, control: Control
) -> Path | Plan | None:
    """As `_train`, or the plan by which to go on."""
    meter, live, again = Meter(plan, hardware, emit), None, False
    meter.begin("load")
    try:
        live = start(plan, caches, hardware, emit)
        meter.end("load")
        return _train_with(live, control)
    except StepTooLarge as error:
        again = True
        log.warning("Step %s did not fit the card.", error, exc_info=error)
    except torch.OutOfMemoryError as error:
        log.warning("The %s did not fit the card.", "update" if live else "model", exc_info=error)
    # Outside of the handlers, where the exception no longer holds on to the tensors of its frames.
    meter.ran_out("train" if live else "load")
    begin_at = (plan.resume_from, plan.first_step) if live is None else live.go_back(again)
    return _with_less(plan, *begin_at, emit)


def _with_less(plan: Plan, resume_from: Path | None, step: int, emit: Emit) -> Plan:
    """The plan by which a run goes on from a step that ran out of memory."""
    levers = fitting.lower(plan.settings, plan.levers)
    if levers is None:
        raise OutOfVram(
            "The card ran out of memory, and nothing more can be kept off it.",
            Advice("Train at 512 px, or with a smaller batch.", {"dataset.resolution": 512}),
        )
    said = words(levers, shape(plan.settings).blocks)
    emit(
        Warned(
            text=f"The card ran out of memory; the run goes on from step {step} "
            f"with {said or 'all blocks computed twice'}."
        )
    )
    return replace(plan, levers=levers, resume_from=resume_from, first_step=step)


def _train_with(live: Live, control: Control) -> Path | Plan | None:
    """Phase 4; as `_attempt`."""
    plan, hardware, emit = live.plan, live.hardware, live.emit
    live.meter.begin("train", plan.num_steps)
    if evaluation_due(plan, plan.first_step):
        live.evaluate(plan.first_step)
    if preview_due_at_start(plan) and sources.previews(plan.settings, plan.index):
        live.preview(plan.first_step)
    for step in train_steps(live.prepared.trainee, live.micro_batches(), live.rules, plan.first_step):
        _report(step, hardware, emit)
        live.follow(step.number)
        if evaluation_due(plan, step.number):
            live.evaluate(step.number)
        goes_on = _between_steps(live, step.number, control)
        pauses = control.pause.is_set() and step.number < plan.num_steps
        if (not goes_on or pauses) and _saw_all(plan, step.number):
            live.meter.end("train")
        if not goes_on:
            emit(RunStopped(step=step.number))
            return None
        if pauses:
            return replace(live.plan, resume_from=live.save(step.number), first_step=step.number)
    live.meter.end("train")
    return live.save(plan.num_steps)


def _saw_all(plan: Plan, step: int) -> bool:
    """Whether every picture had its turn since the first step, so that the largest did."""
    return any(end <= step - plan.first_step for end in plan.epoch_ends)


def _report(step: Step, hardware: Hardware, emit: Emit) -> None:
    if not math.isfinite(step.loss):
        raise LossDiverged(
            f"The loss was not a number at step {step.number}, so the training cannot go on.",
            Advice("Lower the learning rate and start again from the last checkpoint."),
        )
    emit(
        StepDone(
            step=step.number,
            loss=step.loss,
            lr=step.lr,
            grad_norm=step.grad_norm,
            seconds=step.seconds,
            peak_vram_gb=hardware.peak_vram_gb(),
        )
    )


def _between_steps(live: Live, step: int, control: Control) -> bool:
    """Saves and previews what is due; False when the user asked to stop, after a checkpoint."""
    plan, asked = live.plan, (control.save_now, control.stop, control.pause)
    if checkpoint_due(plan, step) or any(one.is_set() for one in asked):
        control.save_now.clear()
        live.save(step)
    elif rolling_due(plan, step):
        live.save(step, rolling=True)
    if control.stop.is_set():
        return step == plan.num_steps
    if (
        preview_due(plan, step) and sources.previews(plan.settings, plan.index)
    ) or control.sample_now.is_set():
        control.sample_now.clear()
        live.preview(step)
    return not control.stop.is_set() or step == plan.num_steps


def _wait_out_pause(step: int, control: Control, emit: Emit) -> bool:
    """False when the user asked to stop instead of going on."""
    if not control.pause.is_set():
        return True
    emit(Paused(step=step))
    while control.pause.is_set() and not control.stop.is_set():
        time.sleep(_PAUSE_POLL_SECONDS)
    if control.stop.is_set():
        return False
    emit(Resumed(step=step))
    return True

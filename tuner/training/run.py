"""Executes a plan, phase by phase; the only place that decides when to preview, save, pause and stop."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tuner.dataset.batches import Batches
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
    StepDone,
    Warned,
)
from tuner.export.metadata import metadata
from tuner.export.write import export
from tuner.files.run_folder import ADAPTER_FILE
from tuner.plan import sources
from tuner.plan.phases import Plan
from tuner.training import checkpoints, previews
from tuner.training.control import Control
from tuner.training.encode import encode_pictures, encode_texts
from tuner.training.feed import Caches, Feed, open_caches
from tuner.training.hardware import Hardware, find_hardware, free_memory
from tuner.training.loop import Step, train_steps
from tuner.training.prepare import Prepared, prepare, seed
from tuner.training.rules import rules

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
    hardware, caches = find_hardware(plan.settings, emit), open_caches(plan.settings)
    _encode(plan, caches, hardware, emit)
    if control.stop.is_set():
        emit(RunStopped(step=plan.first_step))
        return
    last = _train(plan, caches, hardware, emit, control)
    if last is None:
        return
    emit(PhaseStarted(name="export"))
    written = export_checkpoint(plan, last, plan.num_steps, emit)
    emit(RunFinished(step=plan.num_steps, path=str(written)))


def export_checkpoint(plan: Plan, checkpoint: Path, step: int, emit: Emit) -> Path:
    """A checkpoint's adapter as a file for ComfyUI, in the run folder's `exports`."""
    plan.folder.exports.mkdir(parents=True, exist_ok=True)
    report = export(
        checkpoint / ADAPTER_FILE,
        plan.folder.exports / f"{plan.folder.name}-{step:06}.safetensors",
        metadata=metadata(plan.settings, step),
    )
    emit(Exported(dialect=report.dialect, path=str(report.path), num_tensors=report.num_tensors))
    return report.path


def _encode(plan: Plan, caches: Caches, hardware: Hardware, emit: Emit) -> None:
    """Phases 1 and 2, each skipped when the cache holds everything."""
    texts, pictures = sources.texts(plan.settings, plan.index), plan.index.pictures
    missing_texts, missing_pictures = caches.missing_texts(texts), caches.missing_pictures(pictures)
    encoding_texts = encode_texts(plan.settings, missing_texts, caches, hardware)
    encoding_pictures = encode_pictures(plan.settings, missing_pictures, caches, hardware)
    _follow("text", encoding_texts, len(texts), len(missing_texts), emit)
    _follow("latents", encoding_pictures, len(pictures), len(missing_pictures), emit)


def _follow(name: str, encoding: Iterator[int], total: int, num_missing: int, emit: Emit) -> None:
    """Runs an encoder, which loads its model at the first `next`; not at all where nothing is missing."""
    if not num_missing:
        emit(PhaseSkipped(name=name, why=f"all {total} are encoded already"))
        return
    emit(PhaseStarted(name=name, total=total))
    done = total - num_missing
    for number in encoding:
        done += number
        emit(PhaseProgress(name=name, done=done))


@dataclass
class _Training:
    """The live state of phases 3 and 4: what previews and checkpoints reach into between steps."""

    plan: Plan
    prepared: Prepared
    feed: Feed
    caches: Caches
    hardware: Hardware
    emit: Emit
    saved_step: int
    sampler: previews.Sampler | None = field(default=None)

    def resumable(self) -> checkpoints.Resumable:
        dice = {"noise": self.prepared.trainee.dice, "feed": self.feed.dice}
        return checkpoints.Resumable(self.prepared.adapter, self.prepared.trainee.optimizer, dice)

    def save(self, step: int) -> Path:
        keep = self.plan.settings.saving.checkpoints_total_limit
        if step == self.saved_step:
            return self.plan.folder.checkpoint(step)
        path = checkpoints.save(self.plan.folder, step, self.resumable(), self.feed.batches.state(), keep)
        self.saved_step = step
        self.emit(CheckpointSaved(step=step, path=str(path)))
        return path

    def preview(self, step: int) -> None:
        if self.sampler is None:
            transformer = self.prepared.trainee.transformer
            self.sampler = previews.open_sampler(self.plan.settings, transformer, self.caches, self.hardware)
        previews.save_round(self.sampler, self.plan.folder, step, self.emit)


def _train(plan: Plan, caches: Caches, hardware: Hardware, emit: Emit, control: Control) -> Path | None:
    """Phases 3 and 4; the last checkpoint, or None when the user stopped the run."""
    emit(PhaseStarted(name="load"))
    training = _start(plan, caches, hardware, emit)
    emit(PhaseStarted(name="train", total=plan.num_steps))
    loop_rules = rules(plan.settings, plan.num_steps, training.prepared.guidance_embeds, hardware)
    if plan.first_step == 0 and sources.previews(plan.settings):
        training.preview(0)
    for step in train_steps(training.prepared.trainee, iter(training.feed), loop_rules, plan.first_step):
        _report(step, hardware, emit)
        if not _between_steps(training, step.number, control):
            emit(RunStopped(step=step.number))
            return None
    last = training.save(plan.num_steps)
    del training
    free_memory(hardware.device)
    return last


def _start(plan: Plan, caches: Caches, hardware: Hardware, emit: Emit) -> _Training:
    torch.manual_seed(seed(plan.settings))
    prepared = prepare(plan.settings, hardware)
    feed = Feed(
        batches=Batches(plan.index, seed(plan.settings), plan.settings.dataset.data_backend_sampling),
        caches=caches,
        caption_dropout=plan.settings.objective.caption_dropout_probability,
        dice=torch.Generator().manual_seed(seed(plan.settings) + 1),
        device=hardware.device,
        dtype=hardware.dtype,
    )
    training = _Training(plan, prepared, feed, caches, hardware, emit, saved_step=plan.first_step)
    if plan.resume_from is not None:
        position = checkpoints.load(plan.resume_from, training.resumable())
        log.info("goes on from %s", plan.resume_from.name)
        if not feed.batches.load_state(position):
            emit(Warned(text="The pictures have changed since the checkpoint, so their order begins anew."))
    return training


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


def _between_steps(training: _Training, step: int, control: Control) -> bool:
    """Saves and previews what is due; False when the user asked to stop, after a checkpoint."""
    settings, last = training.plan.settings, training.plan.num_steps
    saving_due = _due(step, settings.saving.checkpoint_step_interval) or control.save_now.is_set()
    if saving_due or control.stop.is_set() or control.pause.is_set():
        control.save_now.clear()
        training.save(step)
    preview_due = _due(step, settings.sampling.validation_step_interval) or step == last
    if control.stop.is_set():
        return step == last
    if (preview_due and sources.previews(settings)) or control.sample_now.is_set():
        control.sample_now.clear()
        training.preview(step)
    if control.pause.is_set():
        _wait_out_pause(step, control, training.emit)
    return not control.stop.is_set() or step == last


def _wait_out_pause(step: int, control: Control, emit: Emit) -> None:
    emit(Paused(step=step))
    while control.pause.is_set() and not control.stop.is_set():
        time.sleep(_PAUSE_POLL_SECONDS)
    if not control.stop.is_set():
        emit(Resumed(step=step))


def _due(step: int, interval: int) -> bool:
    return interval > 0 and step % interval == 0

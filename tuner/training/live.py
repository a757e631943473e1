"""The live state of the train phase, and what is done with it between steps: previews and checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tuner.dataset.batches import batches_of
from tuner.errors import OutOfVram, TunerError, told
from tuner.events import CheckpointSaved, Emit, Evaluated, Warned
from tuner.export.metadata import metadata
from tuner.plan.phases import Plan
from tuner.settings.run import RunSettings
from tuner.training import checkpoints, previews
from tuner.training.ahead import Ahead
from tuner.training.ema import Ema, EmaRules
from tuner.training.evaluation import evaluate
from tuner.training.feed import Caches, Feed, MicroBatch
from tuner.training.hardware import Hardware, free_memory
from tuner.training.loop import Rules
from tuner.training.meter import Meter
from tuner.training.prepare import Prepared, prepare, seed
from tuner.training.rules import feed_rules, rules

log = logging.getLogger(__name__)


class _Moment(NamedTuple):
    """A step that is over, and where dice and data stood then."""

    step: int
    dice: Mapping[str, Tensor]
    position: Mapping[str, Any]


@dataclass
class Live:
    """What previews and checkpoints reach into. `saved` is the checkpoint of the step `saved_step`."""

    plan: Plan
    prepared: Prepared
    feed: Feed
    rules: Rules
    hardware: Hardware
    emit: Emit
    ema: Ema | None
    saved_step: int = 0
    saved: Path | None = None
    sampler: previews.Sampler | None = field(default=None)

    done: _Moment | None = field(default=None)

    def micro_batches(self) -> Iterator[MicroBatch]:
        """The feed of the training. Before each step it is remembered where data and dice stand."""
        ahead = Ahead(self.prepared.trainee, self.feed, self.rules, self.plan.first_step)
        batches = iter(self.feed)
        for step in count(self.plan.first_step + 1):
            dice = checkpoints.dice_states(self.resumable().dice)
            self.done = _Moment(step - 1, dice, self.feed.batches.state())
            ahead.of(step)
            yield from islice(batches, self.rules.accumulation)

    @property
    def meter(self) -> Meter:
        return Meter(self.plan, self.hardware, self.emit)

    def go_back(self, undone: bool) -> tuple[Path | None, int]:
        """(the checkpoint to go on from, its step), the beginning's where there is none: of the step before
        where the present one is `undone`, with nothing learned of it; else the last one that was saved.
        """
        if not undone:
            return (self.saved, self.saved_step) if self.saved else (None, self.plan.first_step)
        if self.done is None or self.done.step == self.plan.first_step:
            return self.plan.resume_from, self.plan.first_step
        checkpoints.restore_dice(self.resumable().dice, self.done.dice)
        self.feed.batches.load_state(self.done.position)
        return self.save(self.done.step, rolling=True), self.done.step

    def resumable(self) -> checkpoints.Resumable:
        trainee = self.prepared.trainee
        dice = {"noise": trainee.dice, "feed": self.feed.dice}
        if trainee.routing:
            dice["routing"] = trainee.routing.dice
        return checkpoints.Resumable(self.prepared.adapter, trainee.optimizer, dice, self.ema)

    def resume(self, checkpoint: Path) -> None:
        """Everything as it was when the checkpoint was saved."""
        position = checkpoints.load(checkpoint, self.resumable())
        log.info("goes on from %s", checkpoint.name)
        self.saved_step, self.saved = self.plan.first_step, checkpoint
        if not self.feed.batches.load_state(position):
            self.emit(
                Warned(text="The pictures have changed since the checkpoint, so their order begins anew.")
            )

    def follow(self, step: int) -> None:
        """Takes the weights after a step into the running mean."""
        if self.ema is not None:
            with self.prepared.trainee.finished():
                self.ema.update(step)

    def evaluate(self, step: int) -> None:
        """Measures the loss on the pictures that are kept apart."""
        num_sigmas = self.plan.settings.sampling.eval_timesteps
        loss = evaluate(self.prepared.trainee, self.feed, self.plan.index, self.rules, num_sigmas)
        self.emit(Evaluated(step=step, loss=loss))

    def save(self, step: int, rolling: bool = False) -> Path:
        """Saves `step` once; its rolling checkpoint is not enough where one to be kept is asked for."""
        folder, saving = self.plan.folder, self.plan.settings.saving
        path = folder.checkpoint(step, rolling)
        if self.saved is not None and self.saved_step == step and (rolling or self.saved == path):
            return self.saved
        about = metadata(self.plan.settings, step)
        with self.prepared.trainee.finished():
            checkpoints.save(path, step, self.resumable(), self.feed.batches.state(), about)
        keep = saving.checkpoints_rolling_total_limit if rolling else saving.checkpoints_total_limit
        checkpoints.remove_oldest(folder, keep, path)
        self.saved_step, self.saved = step, path
        self.emit(CheckpointSaved(step=step, path=str(path)))
        return path

    def preview(self, step: int) -> None:
        """Previews of the present weights. They never cost a run: what goes wrong is told, and it goes on."""
        failed: list[TunerError] = []
        with told(failed.append):
            for marks, weights in self._looks(step):
                with self.prepared.trainee.finished(), weights:
                    previews.save_round(self._sampler(), self.plan, step, self.emit, marks)
        if not failed:
            return
        said = f"The previews of step {step} failed, and the training goes on: {failed[0].message}"
        if isinstance(failed[0], OutOfVram):
            settings, less = previews.with_less(self.plan.settings)
            self.plan, said = replace(self.plan, settings=settings), f"{said} {less}"
        self.sampler = None
        free_memory(self.hardware.device)
        self.emit(Warned(text=said))

    def _sampler(self) -> previews.Sampler:
        if self.sampler is None:
            transformer, adapter = self.prepared.trainee.transformer, self.prepared.adapter
            self.sampler = previews.open_sampler(
                self.plan.settings, transformer, adapter, self.feed.caches, self.hardware
            )
        return self.sampler

    def _looks(self, step: int) -> Iterator[tuple[tuple[str, ...], AbstractContextManager[None]]]:
        """The rounds of one step: the marks of their pictures, and a context in which the weights are those.

        The untrained adapter is its own mean, so at step 0 one picture serves for both.
        """
        shown = self.plan.settings.optimization.ema_validation
        if self.ema is None or shown == "none":
            yield ("",), nullcontext()
        elif shown == "ema_only":
            yield (previews.EMA,), self.ema.in_place()
        elif step == 0:
            yield ("", previews.EMA), nullcontext()
        else:
            yield ("",), nullcontext()
            yield (previews.EMA,), self.ema.in_place()


def start(plan: Plan, caches: Caches, hardware: Hardware, emit: Emit) -> Live:
    """Phase 3: everything loaded, and as its checkpoint says where the plan goes on from one."""
    settings = plan.settings
    torch.manual_seed(seed(settings))
    prepared = prepare(settings, hardware, plan.levers)
    feed = Feed(
        batches=batches_of(plan.index, settings),
        caches=caches,
        entries={entry.id: entry for entry in plan.index.datasets},
        rules=feed_rules(settings),
        dice=torch.Generator().manual_seed(seed(settings) + 1),
        device=hardware.device,
        dtype=hardware.dtype,
    )
    numbers = rules(settings, plan.num_steps, prepared.guidance_embeds, hardware)
    live = Live(plan, prepared, feed, numbers, hardware, emit, _ema(settings, prepared, hardware))
    if plan.resume_from is not None:
        live.resume(plan.resume_from)
    return live


def _ema(settings: RunSettings, prepared: Prepared, hardware: Hardware) -> Ema | None:
    chosen = settings.optimization
    if not chosen.use_ema:
        return None
    rules = EmaRules(
        decay=chosen.ema_decay,
        device=hardware.device if chosen.ema_on_card else torch.device("cpu"),
        update_interval=chosen.ema_update_interval,
        warmup_steps=chosen.ema_warmup_steps,
        foreach=not chosen.ema_foreach_disable,
    )
    return Ema(prepared.trainee.parameters, rules)

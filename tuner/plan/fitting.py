"""Chooses the levers by the card's free memory: what must leave it, and what may stay when there is room."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tuner import files
from tuner.dataset.index import DatasetIndex
from tuner.errors import Problem, SettingsInvalid
from tuner.flux.targets import is_modulation
from tuner.machine import Reading
from tuner.plan import adapter
from tuner.plan.levers import Levers, asked, spread
from tuner.plan.memory import forecast
from tuner.plan.sizes import shape
from tuner.settings.run import RunSettings

MARGIN = 0.95
"""The share of the free memory that is planned with: the forecast is no measurement."""
STREAMED_AT_ONCE = 8
"""A run that ran out of memory streams this many blocks more."""
SMALLER: tuple[Mapping[str, Any], ...] = (
    {"memory.gradient_checkpointing": True},
    {"memory.modulation_eviction": "auto"},
    {"memory.block_streaming": "auto"},
    {"memory.base_model_precision": "int8-quanto"},
    {"memory.base_model_precision": "int4-quanto"},
    {"memory.base_model_precision": "nf4-bnb"},
    {"memory.base_model_precision": "int2-quanto"},
    {"optimization.train_batch_size": 1},
)
"""What makes a run smaller, the least harm first."""


def choose(settings: RunSettings, index: DatasetIndex, machine: Reading) -> Levers:
    """As asked for; what is left to "auto" follows from the card's free memory, without a card not at all.

    First modulation leaves the card, then as few blocks as possible; where all is there, as many blocks as
    possible are remembered instead of computed again. Pictures are encoded singly where a batch of them does
    not fit.
    """
    _refuse_eviction(settings)
    blocks = shape(settings).blocks
    levers = asked(settings, blocks)
    room = _room(machine)
    if room is None:
        return levers

    def fits(some: Levers, phase: str = "train") -> bool:
        return forecast(settings, index, machine, some)[phase].vram_gb <= room

    if settings.memory.text_encoder_streaming == "auto" and not fits(levers, "text"):
        levers = replace(levers, text_by_layer=True)
    if not fits(levers, "latents"):
        levers = replace(levers, pictures_singly=True)
    if fits(levers):
        return _filled(settings, levers, blocks, fits)
    if settings.memory.modulation_eviction == "auto" and may_evict(settings):
        levers = replace(levers, evicts=True)
    if fits(levers) or levers.streamed or not may_stream(settings):
        return levers
    fewest = bisect_left(
        range(len(blocks)), True, key=lambda number: fits(with_streamed(levers, blocks, number))
    )
    return with_streamed(levers, blocks, fewest)


def for_pictures(settings: RunSettings, machine: Reading) -> Levers:
    """As `choose`, for a transformer that only draws."""
    return choose(settings, DatasetIndex(()), machine)


def _filled(
    settings: RunSettings, levers: Levers, blocks: tuple[str, ...], fits: Callable[[Levers], bool]
) -> Levers:
    """With as many blocks as possible remembered: the last ones, which the backward pass is through with
    before any other is computed again.
    """
    if settings.memory.checkpointing_fill == "never" or levers.checkpointed != blocks:
        return levers
    numbers = range(1, len(levers.checkpointed) + 1)
    most = bisect_left(numbers, True, key=lambda number: not fits(_remembering(levers, blocks, number)))
    return _remembering(levers, blocks, most) if most else levers


def _remembering(levers: Levers, blocks: tuple[str, ...], number: int) -> Levers:
    again = {*blocks[: len(blocks) - number], *levers.streamed}
    return replace(levers, checkpointed=tuple(block for block in blocks if block in again))


def lower(settings: RunSettings, levers: Levers) -> Levers | None:
    """One notch less on the card, for a run that ran out of memory; None where nothing is left to take."""
    blocks = shape(settings).blocks
    if len(levers.checkpointed) < len(blocks):
        return replace(levers, checkpointed=blocks)
    if not levers.evicts and settings.memory.modulation_eviction != "never" and may_evict(settings):
        return replace(levers, evicts=True)
    if len(levers.streamed) < len(blocks) and may_stream(settings):
        return with_streamed(levers, blocks, len(levers.streamed) + STREAMED_AT_ONCE)
    return None if levers.inputs_wait else replace(levers, inputs_wait=True)


def with_streamed(levers: Levers, blocks: tuple[str, ...], number: int) -> Levers:
    streamed = spread(blocks, number)
    again = {*levers.checkpointed, *streamed}
    return replace(levers, streamed=streamed, checkpointed=tuple(one for one in blocks if one in again))


def may_stream(settings: RunSettings) -> bool:
    """Compiled blocks cannot: their weights are part of what was compiled."""
    return settings.memory.block_streaming != "never" and settings.optimization.dynamo_backend == "no"


def may_evict(settings: RunSettings) -> bool:
    """Nothing that is trained sits on modulation layers."""
    trained = adapter.trained(settings, shape(settings).linears())
    return not any(is_modulation(one.linear.path) for one in trained)


def smallest_change(settings: RunSettings, index: DatasetIndex, machine: Reading) -> Mapping[str, Any] | None:
    """The first of `SMALLER`, and then of smaller sizes, with which the run fits; None where none does."""
    room = _room(machine)
    if room is None:
        return None
    for change in _changes(settings):
        changed = files.changed(settings, change)
        needs = forecast(changed, index, machine, choose(changed, index, machine)).values()
        ram = MARGIN * machine.ram_total_gb
        if all(one.vram_gb <= room and one.ram_gb <= ram for one in needs):
            return change
    return None


def _changes(settings: RunSettings) -> Iterator[Mapping[str, Any]]:
    for change in SMALLER:
        try:
            if files.changed(settings, change) != settings:
                yield change
        except SettingsInvalid:
            continue  # it does not go together with the rest


def _room(machine: Reading) -> float | None:
    if machine.vram_total_gb is None:
        return None
    return MARGIN * (machine.vram_total_gb - (machine.vram_used_gb or 0.0))


def _refuse_eviction(settings: RunSettings) -> None:
    if settings.memory.modulation_eviction != "always" or may_evict(settings):
        return
    key = "modulation_eviction"
    raise SettingsInvalid(
        Problem(
            f"memory.{key}",
            key,
            "always",
            f"'{key}' is 'always', but the adapter acts on modulation layers, so these "
            "must stay on the card.",
            {f"memory.{key}": "auto"},
        )
    )

"""Checkpoints: all that a run needs to go on as if there had been no break; safetensors and JSON only.

No pickle, though SimpleTuner's optimizer and dice are such: loading one runs whatever program stands in it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tuner.adapters.adapter import Adapter
from tuner.errors import Advice, CheckpointMismatch
from tuner.files.run_folder import (
    ADAPTER_FILE,
    DICE_FILE,
    EMA_ADAPTER_FILE,
    LYCORIS_FILE,
    OPTIMIZER_FILE,
    STATE_FILE,
    RunFolder,
    is_rolling,
)
from tuner.optimizers import states
from tuner.training.ema import Ema


@dataclass(frozen=True)
class Resumable:
    """The live things that a checkpoint copies from and writes back into; `dice` are named generators."""

    adapter: Adapter
    optimizer: torch.optim.Optimizer
    dice: Mapping[str, torch.Generator]
    ema: Ema | None = None


def save(
    path: Path, step: int, resumable: Resumable, data_position: Mapping[str, Any], about: Mapping[str, str]
) -> None:
    """Writes the checkpoint `path` whole; `about` becomes the metadata of its adapter files.

    The alpha of every module is a tensor of these files, so `lora_adapter_metadata`, SimpleTuner's place for
    it, is left out: diffusers refuses a file that says it twice.
    """
    tensors, scalars = states.pack(resumable.optimizer)
    state = {"global_step": step, "data": data_position, "optimizer": scalars}
    with _whole_or_not_at_all(path) as half:
        _save_adapter(resumable.adapter, half / ADAPTER_FILE, about)
        if resumable.ema is not None:
            with resumable.ema.in_place():
                _save_adapter(resumable.adapter, half / EMA_ADAPTER_FILE, about)
        save_file(tensors, half / OPTIMIZER_FILE)
        save_file(dice_states(resumable.dice), half / DICE_FILE)
        (half / STATE_FILE).write_text(json.dumps(state), encoding="utf-8")


def remove_oldest(folder: RunFolder, keep: int, new: Path) -> None:
    """Of the row that the checkpoint `new` belongs to, only the latest `keep` stay, `new` always; 0 keeps
    all.
    """
    row = [one for one in folder.checkpoints() if is_rolling(one) == is_rolling(new)]
    for old in row[:-keep] if keep else []:
        if old != new:
            shutil.rmtree(old)


def load(path: Path, resumable: Resumable) -> dict[str, Any]:
    """Puts a checkpoint back; returns the position in the data. Raises CheckpointMismatch."""
    try:
        state = json.loads((path / STATE_FILE).read_text(encoding="utf-8"))
        adapter, optimizer, dice = (
            load_file(path / name) for name in (ADAPTER_FILE, OPTIMIZER_FILE, DICE_FILE)
        )
        mean = load_file(path / EMA_ADAPTER_FILE) if (path / EMA_ADAPTER_FILE).exists() else adapter
        position: dict[str, Any] = state["data"]
        optimizer_rest = state["optimizer"]
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise CheckpointMismatch(
            f"The checkpoint '{path}' cannot be read.",
            Advice("Delete that folder; the run goes on from the one before."),
        ) from error
    if resumable.ema is not None:
        resumable.adapter.load(mean)
        resumable.ema.restart()
    resumable.adapter.load(adapter)
    states.unpack(resumable.optimizer, optimizer, optimizer_rest)
    restore_dice(resumable.dice, dice)
    return position


def _save_adapter(adapter: Adapter, path: Path, about: Mapping[str, str]) -> None:
    """A LyCORIS says how it was built both beside its weights, as SimpleTuner's do, and inside the file."""
    path.parent.mkdir(exist_ok=True)
    config = adapter.config()
    told = {} if config is None else {"lycoris_config": json.dumps(config)}
    if config is not None:
        path.with_name(LYCORIS_FILE).write_text(json.dumps(config, indent=4), encoding="utf-8")
    save_file(adapter.tensors(), path, metadata={**about, **told, "format": "pt"})


@contextmanager
def _whole_or_not_at_all(final: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `final` only when everything in it lies on the disk."""
    half, old = (final.with_name(f".{final.name}.{word}") for word in ("half", "old"))
    for left in (half, old):
        shutil.rmtree(left, ignore_errors=True)
    half.mkdir(parents=True)
    try:
        yield half
        for file in half.rglob("*.*"):
            _flush(file)
        if final.exists():
            os.replace(final, old)
        os.replace(half, final)
    finally:
        for left in (half, old):
            shutil.rmtree(left, ignore_errors=True)


def _flush(path: Path) -> None:
    """To the disk itself: after a power cut a renamed file could otherwise be an empty one."""
    if path.is_file():
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def dice_states(dice: Mapping[str, torch.Generator]) -> dict[str, Tensor]:
    found = {name: generator.get_state() for name, generator in dice.items()}
    found["global"] = torch.get_rng_state()
    if torch.cuda.is_available():
        found["global-cuda"] = torch.cuda.get_rng_state()
    return found


def restore_dice(dice: Mapping[str, torch.Generator], saved: Mapping[str, Tensor]) -> None:
    """The global states feed the adapter's dropout, which knows no generator of its own.

    A generator's state belongs to its kind of device: a run that moves between card and CPU goes on with
    fresh dice, and so does a die that the checkpoint does not know.
    """
    for name, generator in dice.items():
        if name in saved and generator.get_state().shape == saved[name].shape:
            generator.set_state(saved[name])
    torch.set_rng_state(saved["global"])
    if torch.cuda.is_available() and "global-cuda" in saved:
        torch.cuda.set_rng_state(saved["global-cuda"])

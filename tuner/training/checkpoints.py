"""Checkpoints: all that a run needs to go on as if there had been no break; safetensors and JSON only."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tuner.adapters.lora import Adapter
from tuner.errors import Advice, CheckpointMismatch
from tuner.files.run_folder import ADAPTER_FILE, STATE_FILE, RunFolder
from tuner.optimizers import states

_OPTIMIZER_FILE, _DICE_FILE = "optimizer.safetensors", "random_states.safetensors"


@dataclass(frozen=True)
class Resumable:
    """The live things that a checkpoint copies from and writes back into; `dice` are named generators."""

    adapter: Adapter
    optimizer: torch.optim.Optimizer
    dice: Mapping[str, torch.Generator]


def save(
    folder: RunFolder, step: int, resumable: Resumable, data_position: Mapping[str, Any], keep: int
) -> Path:
    """Writes `checkpoint-<step>` whole, then removes the oldest beyond `keep` (0 keeps all)."""
    final = folder.checkpoint(step)
    half = final.with_name(f".{final.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    save_file(resumable.adapter.tensors(), half / ADAPTER_FILE, metadata={"format": "pt"})
    tensors, scalars = states.pack(resumable.optimizer)
    save_file(tensors, half / _OPTIMIZER_FILE)
    save_file(_dice_states(resumable.dice), half / _DICE_FILE)
    state = {"global_step": step, "data": data_position, "optimizer": scalars}
    (half / STATE_FILE).write_text(json.dumps(state), encoding="utf-8")
    if final.exists():
        shutil.rmtree(final)
    os.replace(half, final)
    for old in folder.checkpoints()[: -keep or None] if keep else []:
        if old != final:
            shutil.rmtree(old)
    return final


def load(path: Path, resumable: Resumable) -> dict[str, Any]:
    """Puts a checkpoint back; returns the position in the data. Raises CheckpointMismatch."""
    try:
        state = json.loads((path / STATE_FILE).read_text(encoding="utf-8"))
        adapter, optimizer, dice = (
            load_file(path / name) for name in (ADAPTER_FILE, _OPTIMIZER_FILE, _DICE_FILE)
        )
        position: dict[str, Any] = state["data"]
        optimizer_rest = state["optimizer"]
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise CheckpointMismatch(
            f"The checkpoint '{path}' cannot be read.",
            Advice("Delete that folder; the run goes on from the one before."),
        ) from error
    resumable.adapter.load(adapter)
    states.unpack(resumable.optimizer, optimizer, optimizer_rest)
    _restore_dice(resumable.dice, dice)
    return position


def _dice_states(dice: Mapping[str, torch.Generator]) -> dict[str, Tensor]:
    found = {name: generator.get_state() for name, generator in dice.items()}
    found["global"] = torch.get_rng_state()
    if torch.cuda.is_available():
        found["global-cuda"] = torch.cuda.get_rng_state()
    return found


def _restore_dice(dice: Mapping[str, torch.Generator], saved: Mapping[str, Tensor]) -> None:
    """The global states feed the adapter's dropout, which knows no generator of its own.

    A generator's state belongs to its kind of device: a run that moves between card and CPU goes on with
    fresh dice.
    """
    for name, generator in dice.items():
        if generator.get_state().shape == saved[name].shape:
            generator.set_state(saved[name])
    torch.set_rng_state(saved["global"])
    if torch.cuda.is_available() and "global-cuda" in saved:
        torch.cuda.set_rng_state(saved["global-cuda"])

"""Which checkpoint a run goes on from."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path

from tuner.errors import Advice, CheckpointMismatch
from tuner.files import checkpoint
from tuner.files.run_folder import STATE_FILE, RunFolder
from tuner.settings.optimization import ANY_SEED
from tuner.settings.run import RunSettings


def resume_from(settings: RunSettings, folder: RunFolder) -> tuple[Path | None, tuple[Path, ...]]:
    """(the checkpoint to go on from, the damaged ones after it that are to be deleted).

    Raises CheckpointMismatch where the one that was asked for is damaged or not there.
    """
    asked = settings.saving.resume_from_checkpoint
    if not asked:
        return None, ()
    found = folder.checkpoints()
    if asked != "latest":
        return _whole(_named(asked, folder, found)), ()
    damaged: list[Path] = []
    while settings.saving.delete_invalid_checkpoints and found and checkpoint.fault(found[-1]):
        damaged.append(found.pop())
    return (_whole(found[-1]) if found else None), tuple(damaged)


def seeded(settings: RunSettings, going_on_from: Path | None) -> RunSettings:
    """With a seed of -1 filled in: that of the run that goes on, else a number drawn now."""
    if settings.optimization.seed != ANY_SEED:
        return settings
    number = checkpoint.seed(going_on_from) if going_on_from else secrets.randbelow(2**31)
    return replace(settings, optimization=replace(settings.optimization, seed=number))


def _named(asked: str, folder: RunFolder, found: list[Path]) -> Path:
    """By its folder or its name; of a path to nowhere the last part counts, as in SimpleTuner."""
    if (Path(asked) / STATE_FILE).is_file():
        return Path(asked)
    named = folder.path / Path(asked).name
    if named not in found:
        there = ", ".join(path.name for path in found) or "none"
        raise CheckpointMismatch(
            f"There is no checkpoint '{named.name}' in '{folder.path}' (there: {there}).",
            Advice("Go on from the latest one.", {"saving.resume_from_checkpoint": "latest"}),
        )
    return named


def _whole(found: Path) -> Path:
    if fault := checkpoint.fault(found):
        raise CheckpointMismatch(
            f"The checkpoint '{found}' cannot be read: {fault}.",
            Advice(
                "Delete that folder; the run goes on from the one before.",
                {"saving.resume_from_checkpoint": "latest", "saving.delete_invalid_checkpoints": True},
            ),
        )
    return found


def passed_over(damaged: Path) -> str:
    return f"'{damaged.name}' is damaged: {checkpoint.fault(damaged)}; it will be deleted."

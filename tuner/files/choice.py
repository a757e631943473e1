"""What the user chose among the results of a run: the step and the strength at which its LoRA looks best."""

from __future__ import annotations

from typing import Any

from tuner.errors import TunerError
from tuner.files.documents import parse_json, read_text, to_json, write_text
from tuner.files.run_folder import RunFolder

WEAKEST, STRONGEST = -2.0, 4.0


def strength(folder: RunFolder) -> float | None:
    """None where nothing was chosen; raises ConfigFileBroken."""
    value = _chosen(folder).get("strength")
    return float(value) if isinstance(value, int | float) else None


def step(folder: RunFolder) -> int | None:
    """None where nothing was chosen; raises ConfigFileBroken."""
    value = _chosen(folder).get("step")
    return value if isinstance(value, int) else None


def mean(folder: RunFolder) -> bool:
    """Whether exports take the running mean (EMA) of the adapter; raises ConfigFileBroken."""
    return _chosen(folder).get("mean") is True


def choose_strength(folder: RunFolder, value: float) -> None:
    """For the workflow and the header of every later export."""
    if not WEAKEST <= value <= STRONGEST:
        raise TunerError(f"A strength lies between {WEAKEST:g} and {STRONGEST:g}, {value:g} does not.")
    write_text(folder.choice, to_json({**_chosen(folder), "strength": value}))


def choose_step(folder: RunFolder, value: int | None) -> None:
    """Whose checkpoint every later export takes; None for the newest one."""
    write_text(folder.choice, to_json({**_chosen(folder), "step": value}))


def choose_mean(folder: RunFolder, value: bool) -> None:
    write_text(folder.choice, to_json({**_chosen(folder), "mean": value}))


def _chosen(folder: RunFolder) -> dict[str, Any]:
    if not folder.choice.is_file():
        return {}
    found: dict[str, Any] = parse_json(read_text(folder.choice), dict, folder.choice)
    return found

"""What the user chose among the results of a run: the strength at which its LoRA looks best."""

from __future__ import annotations

from tuner.errors import TunerError
from tuner.files.documents import parse_json, read_text, to_json, write_text
from tuner.files.run_folder import RunFolder

WEAKEST, STRONGEST = -2.0, 4.0


def strength(folder: RunFolder) -> float | None:
    """None where nothing was chosen; raises ConfigFileBroken."""
    if not folder.choice.is_file():
        return None
    value = parse_json(read_text(folder.choice), dict, folder.choice).get("strength")
    return float(value) if isinstance(value, int | float) else None


def choose_strength(folder: RunFolder, value: float) -> None:
    """For the workflow and the header of every later export."""
    if not WEAKEST <= value <= STRONGEST:
        raise TunerError(f"A strength lies between {WEAKEST:g} and {STRONGEST:g}, {value:g} does not.")
    write_text(folder.choice, to_json({"strength": value}))

"""The names inside a run folder, `runs/<name>/` or wherever `output_dir` points."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ADAPTER_FILE = "pytorch_lora_weights.safetensors"
EMA_ADAPTER_FILE = f"ema/{ADAPTER_FILE}"
LYCORIS_FILE = "lycoris_config.json"
STATE_FILE = "training_state.json"
"""Inside a checkpoint, named as SimpleTuner names them."""
OPTIMIZER_FILE, DICE_FILE = "optimizer.safetensors", "random_states.safetensors"
"""SimpleTuner has pickles in their places; loading a pickle would run whatever program stands in it."""
_CHECKPOINT = re.compile(r"checkpoint-(\d+)(-rolling)?")


@dataclass(frozen=True)
class RunFolder:
    """Where each thing of one run lies. The folder itself is `output_dir` of its config.json."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def config(self) -> Path:
        return self.path / "config"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def samples(self) -> Path:
        return self.path / "validation_images"

    @property
    def exports(self) -> Path:
        return self.path / "exports"

    @property
    def sheet(self) -> Path:
        return self.path / "sheet.png"

    @property
    def choice(self) -> Path:
        return self.path / "choice.json"

    def checkpoint(self, step: int, rolling: bool = False) -> Path:
        return self.path / f"checkpoint-{step}{'-rolling' if rolling else ''}"

    def checkpoints(self) -> list[Path]:
        """Finished checkpoints of both rows, oldest first; half-written ones carry another name and are not
        seen.
        """
        found = [p for p in self.path.glob("checkpoint-*") if _CHECKPOINT.fullmatch(p.name) and p.is_dir()]
        return sorted(found, key=lambda p: (step_of(p), not is_rolling(p)))


def step_of(checkpoint: Path) -> int:
    """The step in the name of a checkpoint."""
    return int(checkpoint.name.split("-")[1])


def is_rolling(checkpoint: Path) -> bool:
    """Whether it belongs to the row in which each new one replaces the oldest."""
    return checkpoint.name.endswith("-rolling")

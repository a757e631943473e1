"""The names inside a run folder, `runs/<name>/` or wherever `output_dir` points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ADAPTER_FILE = "pytorch_lora_weights.safetensors"
STATE_FILE = "training_state.json"
"""Inside a checkpoint, named as SimpleTuner names them."""


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

    def checkpoint(self, step: int) -> Path:
        return self.path / f"checkpoint-{step}"

    def checkpoints(self) -> list[Path]:
        """Finished checkpoints, oldest first; half-written ones carry another name and are not seen."""
        found = [p for p in self.path.glob("checkpoint-*") if p.is_dir() and p.name.split("-")[1].isdigit()]
        return sorted(found, key=lambda p: int(p.name.split("-")[1]))

"""Where finished LoRAs go, and whether by themselves: asked on Setup, kept in a file, true for every run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from tuner.files.documents import parse_json, read_text, to_json, write_text


@dataclass(frozen=True)
class Delivery:
    """`folder` "" is the ComfyUI that is found; `automatic`: at the end of each run, without a click."""

    folder: str = ""
    automatic: bool = False


def read(root: Path) -> Delivery:
    """Raises ConfigFileBroken."""
    file = _file(root)
    return Delivery(**parse_json(read_text(file), dict, file)) if file.is_file() else Delivery()


def write(root: Path, wish: Delivery) -> None:
    write_text(_file(root), to_json(asdict(wish)))


def _file(root: Path) -> Path:
    return root / ".tmp" / "delivery.json"

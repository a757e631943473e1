"""lycoris_config.json: kept as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuner.errors import ConfigFileBroken
from tuner.files.documents import parse_json, read_text

NAME = "lycoris_config.json"
OF_A_PLAIN_LORA = (
    "flux_lora_target",
    "peft_lora_target_modules",
    "lora_init_type",
    "use_dora",
    "peft_lora_mode",
)


def read_lycoris(path: Path) -> dict[str, Any]:
    """Of a file anywhere; raises ConfigFileBroken."""
    if not path.is_file():
        raise ConfigFileBroken(f"There is no file '{path}'.")
    document: dict[str, Any] = parse_json(read_text(path), dict, path)
    return document


def plain_lora(told: Mapping[str, Any]) -> str:
    """The first setting of config.json that means nothing to a LyCORIS, or ""; `told` is what it says."""
    return next((name for name in OF_A_PLAIN_LORA if name in told), "")

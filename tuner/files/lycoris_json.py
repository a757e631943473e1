"""lycoris_config.json: kept as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAME = "lycoris_config.json"
OF_A_PLAIN_LORA = (
    "flux_lora_target",
    "peft_lora_target_modules",
    "lora_init_type",
    "use_dora",
    "peft_lora_mode",
)


def plain_lora(told: Mapping[str, Any]) -> str:
    """The first setting of config.json that means nothing to a LyCORIS, or ""; `told` is what it says."""
    return next((name for name in OF_A_PLAIN_LORA if name in told), "")

"""Optimizer names of SimpleTuner's that are not rows of the catalog: what stands for them, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Refusal:
    """A name of SimpleTuner's that is not built; `why` follows "because", `instead` is the nearest row."""

    name: str
    why: str
    instead: str


_AO = "torchao is not installed, as an adapter's states are small"
_SDNQ = "sdnq is not installed, as an adapter's states are small"
REFUSED: tuple[Refusal, ...] = (
    Refusal("ao-adamw8bit", _AO, "bnb-adamw8bit"),
    Refusal("ao-adamw4bit", _AO, "bnb-adamw8bit"),
    Refusal("ao-adamfp8", _AO, "bnb-adamw8bit"),
    Refusal("ao-adamwfp8", _AO, "bnb-adamw8bit"),
    Refusal("sdnq-adamw", _SDNQ, "bnb-adamw8bit"),
    Refusal("sdnq-adafactor", _SDNQ, "torch-adafactor"),
    Refusal("sdnq-came", _SDNQ, "torch-adafactor"),
    Refusal("sdnq-lion", _SDNQ, "bnb-lion8bit"),
    Refusal("sdnq-muon", _SDNQ, "muon"),
    Refusal("torch-sparseadam", "it takes sparse gradients, and those of an adapter are dense", "torch-adam"),
    Refusal("dadaptation", "prodigy has taken its place", "prodigy"),
)
RENAMED: Mapping[str, str] = MappingProxyType({"adafactor": "torch-adafactor", "adamw8bit": "bnb-adamw8bit"})
"""Names that SimpleTuner had once."""

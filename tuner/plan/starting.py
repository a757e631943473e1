"""Whether a run can start from the file that `init_lora` names; if not, what would make it fit."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tuner.adapters.shape import Linear, LoraShape
from tuner.errors import Advice, CheckpointMismatch
from tuner.export import dialects
from tuner.flux import headers
from tuner.flux.targets import TARGETS
from tuner.plan import adapter
from tuner.settings.run import RunSettings

_NORMS = ("lora_magnitude_vector", "dora_scale")


def refuse_misfit(settings: RunSettings, linears: Iterable[Linear]) -> None:
    """Raises CheckpointMismatch where the file holds other layers than are trained, or another kind of
    adapter. Of a LyCORIS only the latter is told beforehand: its settings have too many ways to be named.
    """
    choice = settings.adapter
    if choice.init_lora is None:
        return
    file = Path(choice.init_lora)
    found = dialects.places(headers.entries([file]), file)
    is_lora = any(one.suffix == dialects.A for key, one in found.items() if not key.startswith("lycoris_"))
    if choice.lora_type == "lycoris":
        if is_lora:
            raise _misfit(file, "a plain LoRA, and these settings train a LyCORIS", {"lora_type": "standard"})
        return
    if not choice.use_dora and any(one.suffix in _NORMS for one in found.values()):
        raise _misfit(file, "a DoRA, and these settings train a LoRA", {"use_dora": True})
    _refuse_other_layers(
        settings, tuple(linears), file, {path for one in found.values() for path in one.modules}
    )


def _refuse_other_layers(
    settings: RunSettings, linears: tuple[Linear, ...], file: Path, there: set[str]
) -> None:
    trained = {one.linear.path for one in adapter.trained(settings, linears)}
    if there == trained:
        return
    if strange := sorted(there - {one.path for one in linears}):
        raise CheckpointMismatch(
            f"'{file}' was made for a larger transformer: this one has no '{strange[0]}'.",
            Advice("Start from a fresh adapter.", {"adapter.init_lora": None}),
        )
    parts = ((there - trained, "they leave out"), (trained - there, "the file lacks"))
    said = ", ".join(f"{len(some)} {words}" for some, words in parts if some)
    first = sorted(there ^ trained)[0]
    holds = f"{len(there)} layers, and these settings train {len(trained)}: {said}, the first is '{first}'"
    raise _misfit(file, holds, _targets(settings, linears, there))


def _targets(settings: RunSettings, linears: tuple[Linear, ...], there: set[str]) -> dict[str, Any]:
    """The settings that train exactly these layers: a ready-made choice, else a list of endings or paths;
    nothing where none does, because every name of the last layer is the ending of others.
    """
    asked = adapter.shape(settings)
    assert isinstance(asked, LoraShape)

    def reached(targets: tuple[str, ...]) -> set[str]:
        return {one.linear.path for one in replace(asked, targets=targets).trained(linears)}

    for name, row in TARGETS.items():
        if reached(row) == there:
            own = {"peft_lora_target_modules": None, "slider_lora_target": False}
            return {**own, "flux_lora_target": name}
    endings = sorted({re.sub(r"^(?:single_)?transformer_blocks\.\d+\.", "", path) for path in there})
    for listed in (endings, sorted(there)):
        if reached(tuple(listed)) == there:
            return {"peft_lora_target_modules": listed}
    return {}


def _misfit(file: Path, holds: str, change: dict[str, Any]) -> CheckpointMismatch:
    fitting = {f"adapter.{name}": value for name, value in change.items()}
    return CheckpointMismatch(
        f"'{file}' holds {holds}.",
        *([Advice("Train what the file holds.", fitting)] if change else []),
        Advice("Start from a fresh adapter instead.", {"adapter.init_lora": None}),
    )

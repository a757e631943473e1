"""What does not go together in the choice of the model."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.errors import Problem
from tuner.settings.rules import Rule, problem
from tuner.settings.run import RunSettings


def _gguf(settings: RunSettings) -> Iterator[Problem]:
    for name in ("pretrained_model_name_or_path", "pretrained_transformer_model_name_or_path"):
        value = getattr(settings.model, name)
        if value and value.endswith(".gguf"):
            yield problem(
                f"model.{name}",
                value,
                f"'{name}' names a GGUF file, whose packed weights cannot be trained on; name the same model "
                "as a .safetensors file or a folder, and choose a 'base_model_precision'.",
            )


RULES: tuple[Rule, ...] = (_gguf,)

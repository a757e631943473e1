"""user_prompt_library.json: short name -> prompt, or -> an object with it and perhaps `adapter_strength`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tuner.errors import Problem
from tuner.settings.sampling import SamplePrompt

NAME = "user_prompt_library.json"


def read(document: Mapping[str, Any]) -> tuple[list[SamplePrompt], list[Problem]]:
    prompts, problems = [], []
    for name, entry in document.items():
        text, strength = _prompt(entry), _strength(entry)
        if text is None:
            message = f"The prompt '{name}' must be a text, or an object with a text under \"prompt\"."
            problems.append(Problem("library", name, entry, message))
        elif isinstance(strength, bool) or not isinstance(strength, int | float | None):
            message = f"The 'adapter_strength' of the prompt '{name}' must be a number."
            problems.append(Problem("library", name, entry, message))
        else:
            prompts.append(SamplePrompt(name, text, strength))
    return prompts, problems


def write(document: Mapping[str, Any], after: Sequence[SamplePrompt]) -> dict[str, Any]:
    """Entries whose prompt is the same stay as written."""
    return {
        one.name: document[one.name] if _prompt(document.get(one.name)) == one.prompt else one.prompt
        for one in after
    }


def _strength(entry: Any) -> Any:
    return entry.get("adapter_strength") if isinstance(entry, Mapping) else None


def _prompt(entry: Any) -> str | None:
    if isinstance(entry, Mapping):
        entry = next((entry[key] for key in ("prompt", "caption", "tags") if key in entry), None)
    return entry if isinstance(entry, str) else None

"""How a file was made, for its header: the five config files without what belongs to their owner alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tuner.export.private import is_private

LONGEST = 100_000
"""Characters of the whole recipe; a larger one goes without its largest file."""

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_FILE = re.compile(r"\S*[\\/]\S*\.[A-Za-z]\w{1,10}")
_PLACES = {"dir", "path", "root", "folder", "file", "library", "config", "url", "uri", "bucket"}
_SECRETS = {"token", "secret", "password", "credentials", "webhook", "key", "auth", "username"}
"""Words in the names of settings that say where something lies, and of such that nobody may read."""


def recipe(documents: Mapping[str, Any]) -> str:
    """`documents` are the files by name, as JSON values. -> JSON of the same without private values.

    What is left out is not there at all, so that whoever opens the recipe is asked for it.
    """
    found = {name: _public(document) for name, document in documents.items()}
    while len(text := json.dumps(found, ensure_ascii=False)) > LONGEST:
        del found[max(found, key=lambda name: len(json.dumps(found[name])))]
    return text


def hub_name(text: str | None) -> str | None:
    """`text` if it can be a model's name on Hugging Face, and tells nothing private."""
    return text if text and _HUB_NAME.fullmatch(text) and not is_private(text) else None


def _public(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _public(inner)
            for key, inner in value.items()
            if not is_private(str(key)) and _may_be_told(str(key), inner)
        }
    if isinstance(value, list | tuple):
        return [_public(inner) for inner in value if _may_be_told("", inner)]
    return value


def _may_be_told(key: str, value: Any) -> bool:
    """Only texts can be private; one that says where something lies may be told if it is a public name."""
    if not isinstance(value, str):
        return True
    words = set(re.split(r"[_\W]+", key.lower()))
    if words & _SECRETS or is_private(value) or _FILE.fullmatch(value):
        return False
    return not words & _PLACES or ("pretrained" in words and hub_name(value) is not None)

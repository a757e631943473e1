"""`optimizer_config`, the text `key=value,key=value` of the config file, as a dictionary."""

from __future__ import annotations

_WORDS: dict[str, object] = {"true": True, "false": False, "none": None}


def parse(text: str | None) -> dict[str, object]:
    """`"momentum=0.9,nesterov=true"` -> `{"momentum": 0.9, "nesterov": True}`; nothing gives an empty one.

    Raises ValueError with a sentence for the user on an entry that is not name=value, or a name given twice.
    """
    options: dict[str, object] = {}
    for entry in (part.strip() for part in (text or "").split(",")):
        if not entry:
            continue
        key, equals, value = (word.strip() for word in entry.partition("="))
        if not equals or not key.isidentifier():
            raise ValueError(f"'{entry}' in optimizer_config is not of the form name=value.")
        if key in options:
            raise ValueError(f"optimizer_config names '{key}' twice.")
        options[key] = _value(value)
    return options


def _value(text: str) -> object:
    """true, false, none, a whole number, a decimal number, or the text itself."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

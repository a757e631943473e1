"""A configuration of another program: what is taken out of it, and what stays behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Foreign:
    """One object of it; `left` is shared by all its parts, `name` stands before the keys in sentences."""

    document: Mapping[str, Any]
    left: list[str] = field(default_factory=list)
    name: str = ""
    taken: set[str] = field(default_factory=set)

    def take(self, *keys: str, default: Any = None) -> Any:
        """The first of the keys that says something; all count as read."""
        self.taken |= set(keys)
        said = (self.document[key] for key in keys if self.document.get(key) not in (None, ""))
        return next(said, default)

    def part(self, key: str) -> Foreign:
        """An object inside; empty where it is not there."""
        self.taken.add(key)
        inner = self.document.get(key)
        name = f"{self.name}{key}."
        return Foreign(inner if isinstance(inner, Mapping) else {}, self.left, name)

    def parts(self, key: str) -> list[Foreign]:
        """A list of objects inside."""
        self.taken.add(key)
        inner = self.document.get(key) or ()
        return [
            Foreign(one, self.left, f"{self.name}{key}[{number}].")
            for number, one in enumerate(inner)
            if isinstance(one, Mapping)
        ]

    def leave(self, why: str, *keys: str) -> None:
        """Keys that are known and stay behind; one that asks for nothing is not worth a word."""
        for key in keys:
            self.taken.add(key)
            if _asks(self.document.get(key)):
                self.left.append(f"'{self.name}{key}': {why}.")

    def ignore(self, *keys: str) -> None:
        """Keys that change nothing in what is learned."""
        self.taken |= set(keys)

    def leave_rest(self) -> None:
        for key in self.document:
            if key not in self.taken:
                self.leave("there is nothing like it here", key)


def _asks(value: Any) -> bool:
    return value not in (None, "", False, 0, [], {}, "none", "NONE", "None")


Convert = Callable[[Any], Any]


def carry(
    foreign: Foreign, table: Mapping[str, str], config: dict[str, Any], convert: Convert = lambda value: value
) -> None:
    """Values under their own names: `table` is theirs -> ours."""
    for theirs, ours in table.items():
        value = foreign.take(theirs)
        if value is not None:
            config[ours] = convert(value)


def translated(
    foreign: Foreign, key: str, words: Mapping[str, Any], default: Any = None, what: str = ""
) -> Any:
    """A choice in our words; one without a counterpart is listed, and gives the default."""
    value = foreign.take(key)
    if value is None:
        return default
    word = str(value).lower()
    if word in words:
        return words[word]
    foreign.left.append(
        f"'{foreign.name}{key}': '{value}' is not known here; {what or 'the default'} is taken."
    )
    return default


def beside(path: str, config: Path) -> Path | None:
    """A file that a configuration names: where it says, else beside the configuration; None if neither."""
    named = Path(path.replace("\\", "/"))
    places = (named, config.parent / named, config.parent / named.name)
    return next((place for place in places if place.is_file()), None)


def flavour_of(name: str) -> str:
    """The flavour that the name of a model speaks of."""
    return next((one for one in ("schnell", "krea", "kontext") if one in name), "dev")


def dataset_id(folder: str, taken: Iterable[str]) -> str:
    """A name for the pictures in a folder, unlike those taken."""
    stem = Path(folder.replace("\\", "/")).name or "pictures"
    known = set(taken)
    return next(
        name for n in range(1, len(known) + 2) if (name := stem if n == 1 else f"{stem}-{n}") not in known
    )


def named_prompts(prompts: Iterable[str]) -> dict[str, str]:
    """A prompt library of texts without names."""
    different = dict.fromkeys(one.strip() for one in prompts if one.strip())
    return {f"prompt-{number}": one for number, one in enumerate(different, start=1)}

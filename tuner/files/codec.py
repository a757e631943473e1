"""One object of a file, both directions, as a loop over the declared settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tuner.errors import Problem
from tuner.settings.fields import Spec
from tuner.settings.values import is_unset, nearest, parse, shown, wrong_type


@dataclass
class Decoded:
    """What one object held: values by setting name (only those that are there), and what else.

    `shortened` are keys that were cut short, with the setting they mean; `doubled` are settings that stand
    there in two spellings; `filled` are values that the object left out and something else asks for.
    """

    values: dict[str, Any] = field(default_factory=dict)
    unused: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    shortened: dict[str, str] = field(default_factory=dict)
    doubled: list[str] = field(default_factory=list)
    filled: dict[str, Any] = field(default_factory=dict)


def decode(
    document: Mapping[str, Any], specs: Sequence[Spec], place: str = "", abbreviations: bool = False
) -> Decoded:
    """Keys may have dashes in front; of two spellings of one key the later wins.

    `place` stands before setting names in the paths of problems; without it each setting's own section does.
    With `abbreviations` a key may be cut short, as SimpleTuner takes it in config.json.
    """
    named = _named(document, specs, abbreviations)
    found = Decoded(unused={key: raw for key, raw in document.items() if key not in named})
    for key, spec in named.items():
        if is_unset(spec, document[key]):
            continue
        if bare(key) not in spec.keys:
            found.shortened[key] = spec.name
        if spec.name in found.values:
            found.doubled.append(spec.name)
        try:
            found.values[spec.name] = parse(spec, document[key])
        except ValueError as expected:
            path = f"{place}.{spec.name}" if place else spec.path
            found.problems.append(wrong_type(spec, document[key], expected, path))
    return found


def encode(
    document: Mapping[str, Any],
    specs: Sequence[Spec],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    abbreviations: bool = False,
) -> dict[str, Any]:
    """The document with what changed from `before`, its meaning as it stands, to `after`."""
    changed = {s.name: plain(after[s.name]) for s in specs if after[s.name] != before[s.name]}
    named = {key: spec.name for key, spec in _named(document, specs, abbreviations).items()}
    result = {key: changed.get(named.get(key, ""), raw) for key, raw in document.items()}
    return result | {name: value for name, value in changed.items() if name not in named.values()}


def _named(document: Mapping[str, Any], specs: Sequence[Spec], abbreviations: bool) -> dict[str, Spec]:
    """The keys of the document that are settings, and which."""
    known = {key: spec for spec in specs for key in spec.keys}
    found: dict[str, Spec] = {}
    for key in document:
        begun = {known[name].name: known[name] for name in known if "_" in key and name.startswith(bare(key))}
        if bare(key) in known:
            found[key] = known[bare(key)]
        elif abbreviations and len(begun) == 1:
            found[key] = next(iter(begun.values()))
    return found


def bare(key: str) -> str:
    return key.lstrip("-")


def plain(value: Any) -> Any:
    """As JSON has it: tuples become lists."""
    return list(value) if isinstance(value, tuple) else value


def notes(
    file: str, found: Decoded, specs: Sequence[Spec], useless: Mapping[str, str], where: str = ""
) -> list[str]:
    """Sentences about the keys of one object; `useless` are keys without use, each with the reason."""
    moot = [spec for spec in specs if spec.moot and found.values.get(spec.name, spec.default) != spec.default]
    return [
        *(f"{file}: '{key}'{where} is read as '{name}'." for key, name in found.shortened.items()),
        *(
            f"{file}: '{name}'{where} stands there twice; the later one, {shown(found.values[name])}, counts."
            for name in found.doubled
            if name in found.values
        ),
        *(f"{file}: '{spec.name}'{where} makes no difference here: {spec.moot}." for spec in moot),
        *(_unused(file, key, specs, useless, where) for key in found.unused),
    ]


def _unused(file: str, key: str, specs: Sequence[Spec], useless: Mapping[str, str], where: str) -> str:
    if bare(key) in useless:
        return f"{file}: '{key}'{where} makes no difference here: {useless[bare(key)]}."
    meant = nearest(bare(key).replace("-", "_"), [known for spec in specs for known in spec.keys])
    hint = f" Did you mean '{meant}'?" if meant else ""
    return f"{file}: '{key}'{where} is not used; it stays in the file.{hint}"

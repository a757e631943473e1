"""One object of a file, both directions, as a loop over the declared settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tuner.errors import Problem
from tuner.settings.fields import Spec
from tuner.settings.values import nearest, parse, wrong_type


@dataclass
class Decoded:
    """What one object held: values by setting name (only those that are there), and what else."""

    values: dict[str, Any] = field(default_factory=dict)
    unused: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def decode(document: Mapping[str, Any], specs: Sequence[Spec], place: str = "") -> Decoded:
    """Keys may have dashes in front; of two spellings of one key the later wins.

    `place` stands before setting names in the paths of problems; without it each setting's own section does.
    """
    known = {key: spec for spec in specs for key in spec.keys}
    found = Decoded()
    for key, raw in document.items():
        spec = known.get(bare(key))
        if spec is None:
            found.unused[key] = raw
            continue
        try:
            found.values[spec.name] = parse(spec, raw)
        except ValueError as expected:
            path = f"{place}.{spec.name}" if place else spec.path
            found.problems.append(wrong_type(spec, raw, expected, path))
    return found


def encode(
    document: Mapping[str, Any], specs: Sequence[Spec], before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, Any]:
    """The document with what changed from `before`, its meaning as it stands, to `after`."""
    changed = {s.name: plain(after[s.name]) for s in specs if after[s.name] != before[s.name]}
    names = {key: spec.name for spec in specs for key in spec.keys}
    result: dict[str, Any] = {}
    for key, raw in document.items():
        name = names.get(bare(key))
        result[key] = changed.get(name, raw) if name else raw
    present = {names.get(bare(key)) for key in document}
    return result | {name: value for name, value in changed.items() if name not in present}


def bare(key: str) -> str:
    return key.lstrip("-")


def plain(value: Any) -> Any:
    """As JSON has it: tuples become lists."""
    return list(value) if isinstance(value, tuple) else value


def unused_note(file: str, key: str, specs: Sequence[Spec], where: str = "") -> str:
    """The sentence about a key that has no use here, with the key that was probably meant."""
    meant = nearest(bare(key).replace("-", "_"), [known for spec in specs for known in spec.keys])
    hint = f" Did you mean '{meant}'?" if meant else ""
    return f"{file}: '{key}'{where} is not used; it stays in the file.{hint}"


def moot_notes(file: str, found: Decoded, specs: Sequence[Spec], where: str = "") -> list[str]:
    """A sentence about each setting that stands there and makes no difference, with the reason."""
    told = [spec for spec in specs if spec.moot and found.values.get(spec.name, spec.default) != spec.default]
    return [f"{file}: '{spec.name}'{where} makes no difference here: {spec.moot}." for spec in told]

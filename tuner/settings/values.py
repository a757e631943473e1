"""From what stands in a file or a form to the value of a setting, and whether that value is allowed."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Iterable
from typing import Any

from tuner.errors import Problem
from tuner.settings.fields import Kind, Spec

MANY = 8
YES, NO = ("1", "true", "yes", "y", "on"), ("0", "false", "no", "n", "off")


def parse(spec: Spec, raw: object) -> Any:
    """The typed value of `raw`; the default where it is unset. Raises ValueError with what was expected."""
    if is_unset(spec, raw):
        return spec.default
    value = PARSERS[spec.kind](raw)
    return spec.renamed.get(value, value) if isinstance(value, str) else value


def is_unset(spec: Spec, raw: object) -> bool:
    """Null and the empty text, as if the key were not there."""
    return raw is None or (isinstance(raw, str) and not raw.strip() and not spec.empty)


def _bool(raw: object) -> bool:
    word = str(raw).strip().lower()
    if word not in YES + NO:
        raise ValueError("true or false")
    return word in YES


def _int(raw: object) -> int:
    number = _number(raw, "a whole number")
    if number != int(number):
        raise ValueError("a whole number")
    return int(number)


def _float(raw: object) -> float:
    return _number(raw, "a number")


def _number(raw: object, expected: str) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise ValueError(expected)
    try:
        number = float(raw)
    except ValueError:
        raise ValueError(expected) from None
    if not math.isfinite(number):
        raise ValueError(expected)
    return number


def _str(raw: object) -> str:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise ValueError("a text")
    return str(raw)


def _texts(raw: object) -> str | tuple[str, ...]:
    """A text stays one; a list, or the text of a JSON list, becomes a tuple."""
    if isinstance(raw, str) and raw.lstrip().startswith("["):
        raw = _decoded(raw, "a list of texts")
    if isinstance(raw, list | tuple) and all(isinstance(one, str) for one in raw):
        return tuple(raw)
    if not isinstance(raw, str):
        raise ValueError("a text or a list of texts")
    return raw


def _names(raw: object) -> tuple[str, ...]:
    """A list of texts, or a text with commas; the name of a file with the list is not read here."""
    found = _texts(raw)
    names = tuple(part.strip() for part in found.split(",")) if isinstance(found, str) else found
    if any(not name or name.endswith(".json") or name.startswith("{") for name in names):
        raise ValueError("a list of names in brackets")
    return names


def _json(raw: object) -> dict[str, Any]:
    value = _decoded(raw, "an object in braces")
    if not isinstance(value, dict):
        raise ValueError("an object in braces")
    return value


def _list(raw: object) -> tuple[Any, ...]:
    """A list, or the text of one; its brackets may be missing."""
    if isinstance(raw, str) and not raw.lstrip().startswith(("[", "{")):
        raw = f"[{raw}]"
    value = _decoded(raw, "a list in brackets")
    if not isinstance(value, list | tuple):
        raise ValueError("a list in brackets")
    return tuple(value)


def _decoded(raw: object, expected: str) -> object:
    if not isinstance(raw, str):
        return raw
    try:
        return json.loads(raw)
    except json.JSONDecodeError:
        raise ValueError(expected) from None


PARSERS: dict[Kind, Callable[[object], Any]] = {
    "bool": _bool,
    "int": _int,
    "float": _float,
    "str": _str,
    "texts": _texts,
    "names": _names,
    "json": _json,
    "list": _list,
}


def shown(value: object) -> str:
    """A value as it stands in the file: false, not False; without quotes where it is a text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def listed(values: Iterable[object]) -> str:
    """'a, b or c'."""
    names = [shown(value) for value in values if value is not None]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def nearest(word: object, known: Iterable[object]) -> str | None:
    """The known word that was probably meant."""
    found = difflib.get_close_matches(str(word), [k for k in known if isinstance(k, str)], n=1, cutoff=0.7)
    return found[0] if found else None


def wrong_type(spec: Spec, raw: object, expected: ValueError, path: str | None = None) -> Problem:
    message = f"'{spec.name}' is {shown(raw)!r}; it must be {expected}."
    return Problem(path or spec.path, spec.name, raw, message)


def check(spec: Spec, value: Any, path: str | None = None) -> Problem | None:
    """What is wrong with a typed value, or None; `path` replaces the dotted path for datasets."""
    if value == spec.default and type(value) is type(spec.default):
        return None
    path = path or spec.path
    if spec.choices and value is not None and value not in spec.choices:
        return _not_known(spec, value, path)
    outside = _outside(spec, value)
    if outside:
        words, bound = outside
        message = f"'{spec.name}' is {shown(value)}; it must be {words} {shown(bound)}."
        return Problem(path, spec.name, value, message, {path: bound})
    if spec.built is not None and value not in spec.built:
        return _not_built(spec, value, path)
    return None


def _not_known(spec: Spec, value: Any, path: str) -> Problem:
    works = [one for one in spec.choices if spec.built is None or one in spec.built]
    meant = nearest(value, works)
    if meant is not None:
        message = f"'{spec.name}' is '{shown(value)}', which is unknown. Did you mean '{meant}'?"
        return Problem(path, spec.name, value, message, {path: meant})
    examples = listed(works) if len(works) <= MANY else f"for instance {listed(works[:3])}"
    return Problem(
        path, spec.name, value, f"'{spec.name}' is '{shown(value)}', which is unknown; choose {examples}."
    )


def _outside(spec: Spec, value: Any) -> tuple[str, float] | None:
    """Which bound a number oversteps."""
    if value is None or spec.kind not in ("int", "float"):
        return None
    if spec.minimum is not None and value < spec.minimum:
        return "at least", spec.minimum
    if spec.maximum is not None and value > spec.maximum:
        return "at most", spec.maximum
    return None


def _not_built(spec: Spec, value: Any, path: str) -> Problem:
    named = (
        f"'{spec.name}'" if spec.kind == "bool" or not spec.choices else f"'{spec.name}': '{shown(value)}'"
    )
    works = [one for one in spec.built or () if one is not None]
    better = [other for refused, other in spec.instead.items() if refused == value]
    nearest_that_works = better[0] if better else spec.default
    if better:
        advice = f"choose {shown(nearest_that_works)}"
    elif not works:
        advice = "take it out"
    elif len(works) == 1 or spec.kind != "str":
        advice = f"leave it at {shown(spec.default)}"
    else:
        advice = f"choose {listed(works)}"
    message = f"{named} does not work here, because {spec.why_not(value)}; {advice}."
    return Problem(path, spec.name, value, message, {path: nearest_that_works})

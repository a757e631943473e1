"""What is wrong with a lycoris_config.json, and what of it is filled in or makes no difference."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tuner.adapters import lycoris_catalog
from tuner.adapters.lycoris_catalog import LycorisAlgorithm
from tuner.adapters.lycoris_config import FIELDS, INSIDE, TOP, is_true, number, today
from tuner.errors import Problem

NAME = "lycoris_config.json"
_NO_CONVOLUTIONS = "FLUX has no convolutions"
_ONE_MODEL = "the adapter sits on the transformer alone"
_TLORA = "it belongs to 'tlora'"
MOOT = {
    "conv_dim": _NO_CONVOLUTIONS,
    "conv_alpha": _NO_CONVOLUTIONS,
    "use_tucker": _NO_CONVOLUTIONS,
    "use_cp": _NO_CONVOLUTIONS,
    "use_conv_cp": _NO_CONVOLUTIONS,
    "disable_conv_cp": _NO_CONVOLUTIONS,
    "train_norm": "the LayerNorms of FLUX have no numbers that could be trained",
    "train_llm_adapter": "FLUX has none",
    "preset": "what is trained stands in 'apply_preset'",
    "warn_on_unmatched": "what matches nothing is always told",
    "tlora_min_rank": _TLORA,
    "tlora_alpha": _TLORA,
}
MOOT_IN_PRESET = {
    "enable_conv": _NO_CONVOLUTIONS,
    "lora_prefix": "the names in files always begin with 'lycoris_', which other programs look for",
    "unet_target_module": _ONE_MODEL,
    "unet_target_name": _ONE_MODEL,
    "text_encoder_target_module": _ONE_MODEL,
    "text_encoder_target_name": _ONE_MODEL,
}
_REQUIRED = {"algo": "lora", "multiplier": 1.0, "linear_dim": 4, "linear_alpha": 1}
_LISTS, _MAPS = ("target_module", "target_name", "exclude_name"), ("module_algo_map", "name_algo_map")
_KNOWN = {
    "the file": (*TOP, *MOOT, "multiplier", "apply_preset", "use_scalar"),
    "'apply_preset'": (*_LISTS, *_MAPS, *MOOT_IN_PRESET, "use_fnmatch"),
}


@dataclass(frozen=True)
class _Table:
    """One object with options: the file itself, or an entry of a map; `meant` maps its keys to options."""

    words: str
    content: Mapping[str, Any]
    meant: Mapping[str, str]
    change: Callable[[str, Any], Mapping[str, Any]]

    @property
    def decomposes(self) -> bool:
        """Whether it asks for DoRA."""
        told = (value for key, value in self.content.items() if self.meant.get(key) == "weight_decompose")
        return any(is_true(value) for value in told)


def problems(config: Mapping[str, Any], quantized: bool) -> Iterator[Problem]:
    """Everything that keeps the file from being used; `quantized`: whether the base is."""
    malformed = list(_malformed(config))
    yield from malformed
    if malformed:
        return
    for table in _tables(config):
        for key, value in table.content.items():
            if key in table.meant and value is not None:
                yield from _value_problem(table, key, value)
        if table.content.get("algo"):
            yield from _algorithm_problem(table, quantized)
    yield from _multiplier(config)
    if is_true(config.get("use_scalar")):
        yield _problem(
            "use_scalar",
            True,
            "'use_scalar' does not work here, because a file folds that number into the others, so that a "
            "run could not go on from its checkpoint; leave it false.",
            {"lycoris.use_scalar": False},
        )
    yield from _patterns(config)


def notes(config: Mapping[str, Any], classes: Iterable[str]) -> Iterator[str]:
    """Sentences for the user; `classes` are those of the transformer. Only of a file without problems."""
    heard = {"algo", *(field for row in _rows(config) for field in row.fields)}
    for key, value in _REQUIRED.items():
        whole = key == "linear_dim" and is_true(config.get("full_matrix"))
        if config.get(key) is None and TOP.get(key, "algo") in heard and not whole:
            yield f"{NAME}: '{key}' is not given; {value} is used."
    if str(config.get("algo")).lower() == "oft":
        yield f"{NAME}: 'oft' is called 'diag-oft' by LyCORIS."
    preset = config.get("apply_preset") or {}
    yield from _useless("the file", config, MOOT)
    yield from _useless("'apply_preset'", preset, MOOT_IN_PRESET)
    for table in list(_tables(config))[1:]:
        for key in table.content:
            if key not in table.meant:
                yield _unknown(key, table.words, table.meant)
    yield from _unused_options(config)
    yield from _without_match(preset, classes)


def algorithms(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of all algorithms that the file asks for and that there are."""
    return tuple(row.name for row in _rows(config))


def _rows(config: Mapping[str, Any]) -> tuple[LycorisAlgorithm, ...]:
    first, *rest = (table.content.get("algo") for table in _tables(config))
    told = [str(one).lower() for one in (first or "lora", *rest) if one]
    known = {word: row for row in lycoris_catalog.ALGORITHMS for word in (row.name, *row.aliases)}
    return tuple(dict.fromkeys(known[word] for word in told if word in known))


def _tables(config: Mapping[str, Any]) -> Iterator[_Table]:
    """The file first, then the entries of its maps."""
    yield _Table("the file", config, TOP, lambda key, value: {f"lycoris.{key}": value})
    preset = config.get("apply_preset") or {}
    for name in _MAPS:
        for entry, content in (preset.get(name) or {}).items():

            def change(key: str, value: Any, name: str = name, entry: str = entry) -> Mapping[str, Any]:
                mended = {**preset[name], entry: {**(preset[name][entry] or {}), key: value}}
                return {"lycoris.apply_preset": {**preset, name: mended}}

            yield _Table(f"'{entry}' in '{name}'", content or {}, INSIDE, change)


def _malformed(config: Mapping[str, Any]) -> Iterator[Problem]:
    preset = config.get("apply_preset") or {}
    if not isinstance(preset, Mapping):
        yield _problem("apply_preset", preset, "'apply_preset' must be an object in braces.")
        return
    for name in _LISTS:
        value = preset.get(name) or []
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            yield _problem("apply_preset", value, f"'{name}' must be a list of texts in brackets.")
    for name in _MAPS:
        table = preset.get(name) or {}
        if not isinstance(table, Mapping) or not all(isinstance(v or {}, Mapping) for v in table.values()):
            yield _problem("apply_preset", table, f"'{name}' must be an object of objects in braces.")


def _value_problem(table: _Table, key: str, value: Any) -> Iterator[Problem]:
    try:
        FIELDS[table.meant[key]](value)
    except ValueError as expected:
        yield _problem(key, value, f"'{key}' in {table.words} is {value!r}; it must be {expected}.")


def _algorithm_problem(table: _Table, quantized: bool) -> Iterator[Problem]:
    name = str(table.content["algo"]).lower()
    try:
        row = lycoris_catalog.algorithm(name)
    except KeyError:
        meant = difflib.get_close_matches(name, lycoris_catalog.words(), n=1, cutoff=0.6)
        hint = f"Did you mean '{meant[0]}'?" if meant else f"Choose {_listed(lycoris_catalog.words())}."
        yield _problem(
            "algo",
            name,
            f"'algo' in {table.words} is '{name}', which is unknown. {hint}",
            table.change("algo", meant[0]) if meant else None,
        )
        return
    why = row.why or (row.why_quantized if quantized else "")
    if why:
        where = "here" if row.why else "over a quantized base"
        yield _problem(
            "algo",
            name,
            f"'algo' in {table.words}: '{name}' does not work {where}, because {why}; choose 'lokr'.",
            table.change("algo", "lokr"),
        )


def _multiplier(config: Mapping[str, Any]) -> Iterator[Problem]:
    value = config.get("multiplier")
    try:
        strength = 1.0 if value is None else number(value)
    except ValueError as expected:
        yield _problem("multiplier", value, f"'multiplier' is {value!r}; it must be {expected}.")
        return
    why = ""
    if strength == 0:
        why = "is 0, so nothing would be trained"
    elif strength != 1 and any("constraint" in one.fields for one in _rows(config)):
        why = f"is {strength:g}, and no file can say of a rotation how strongly it was trained"
    elif strength != 1 and any(table.decomposes for table in _tables(config)):
        why = f"is {strength:g}, and no file can say of a DoRA how strongly it was trained"
    if why:
        yield _problem("multiplier", value, f"'multiplier' {why}; 1 is usual.", {"lycoris.multiplier": 1.0})


def _patterns(config: Mapping[str, Any]) -> Iterator[Problem]:
    preset = config.get("apply_preset") or {}
    if is_true(preset.get("use_fnmatch")):
        return
    for pattern in (*(preset.get("target_name") or ()), *(preset.get("exclude_name") or ()),
                    *(preset.get("name_algo_map") or ())):  # fmt: skip
        try:
            re.compile(pattern)
        except re.error as error:
            yield _problem(
                "apply_preset", pattern, f"'{pattern}' in 'apply_preset' is no regular expression ({error})."
            )


def _useless(words: str, content: Mapping[str, Any], moot: Mapping[str, str]) -> Iterator[str]:
    for key, value in content.items():
        if key in moot and value not in (None, False):
            yield f"{NAME}: '{key}' makes no difference: {moot[key]}."
        elif key not in _KNOWN[words]:
            yield _unknown(key, words, _KNOWN[words])


def _unknown(key: str, words: str, known: Iterable[str]) -> str:
    words_like = (
        difflib.get_close_matches(one, list(known), n=1) for one in (key, key.removeprefix("linear_"))
    )
    meant = next((found for found in words_like if found), [])
    hint = f" Did you mean '{meant[0]}'?" if meant else ""
    return f"{NAME}: '{key}' in {words} is not used; it stays in the file.{hint}"


def _unused_options(config: Mapping[str, Any]) -> Iterator[str]:
    """Options that none of the chosen algorithms listens to."""
    names = algorithms(config)
    heard = {field for row in _rows(config) for field in row.fields}
    for key, value in config.items():
        meant = TOP.get(key, "algo")
        silent = meant in (*heard, "algo", "bypass_mode") or key in _REQUIRED or value in (None, False, 0)
        if not silent:
            yield f"{NAME}: '{key}' makes no difference with {_listed(names)}."


def _without_match(preset: Mapping[str, Any], classes: Iterable[str]) -> Iterator[str]:
    there = tuple(classes)
    for name in dict.fromkeys((*(preset.get("target_module") or ()), *(preset.get("module_algo_map") or ()))):
        if today(name) not in there:
            meant = difflib.get_close_matches(name, there, n=1)
            hint = f" Did you mean '{meant[0]}'?" if meant else ""
            yield f"{NAME}: FLUX has no module of the class '{name}'.{hint}"


def _listed(names: Iterable[str]) -> str:
    words = [f"'{name}'" for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _problem(key: str, value: Any, message: str, change: Mapping[str, Any] | None = None) -> Problem:
    return Problem(f"lycoris.{key}", key, value, f"{NAME}: {message}", change or {})

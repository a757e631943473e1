"""config.json: every setting of the sections, by its key."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import tuner.files.env_file as env_file
from tuner.files.codec import Decoded, bare, decode, encode, notes, plain
from tuner.files.lycoris_json import plain_lora
from tuner.settings import useless
from tuner.settings.environment import TWINS
from tuner.settings.run import SECTIONS, RunSettings, specs
from tuner.settings.values import NO, YES, shown

NAME = "config.json"
OLDER = {"vae_cache_preprocess": "vae_cache_ondemand", "ignore_final_epochs": "strict_epoch_limit"}
"""Older switches, and today's with the opposite meaning."""
NOTHING: Mapping[str, Any] = {}


def read(
    document: Mapping[str, Any],
    environment: Mapping[str, str],
    lycoris: Mapping[str, Any] = NOTHING,
    texts: Mapping[str, str] = NOTHING,
) -> tuple[Decoded, list[str]]:
    """The values of the document, with those of config.env where the document has no word of its own, and
    with 'lora_type' where only `lycoris` tells it. `texts` are files that values may name.
    """
    whole = {key: with_variables(raw, environment) for key, raw in migrated(document).items()}
    whole |= {key: texts[name] for key, name in named_files(whole).items() if name in texts}
    found = decode(whole, specs(), abbreviations=True)
    twins = {key: environment[name] for name, key in TWINS.items() if name in environment}
    inherited = decode({k: v for k, v in twins.items() if k not in found.values}, specs())
    told = inherited.values | found.values
    if lycoris and "lora_type" not in told and not plain_lora(told):
        found.filled = {"lora_type": "lycoris"}
    sentences = [
        *_filled_in(told, found.filled),
        *notes(NAME, found, specs(), useless.CONFIG),
        *notes(env_file.NAME, inherited, specs(), NOTHING),
        *_contradictions(found, twins),
        *(
            f"{NAME}: '{key}' names a VAE of SDXL, which FLUX cannot use; the model's own is taken."
            for key, value in document.items()
            if _of_sdxl(bare(key), value)
        ),
    ]
    found.problems += inherited.problems
    found.values = told | found.filled
    return found, sentences


def migrated(document: Mapping[str, Any]) -> dict[str, Any]:
    """Today's keys, in the same order, without values that FLUX cannot use."""
    result: dict[str, Any] = {}
    for key, value in document.items():
        name = bare(key)
        if name in OLDER and value is not None:
            result[OLDER[name]] = _turned_round(value)
        else:
            result[key] = None if _of_sdxl(name, value) else value
    return result


def _turned_round(value: Any) -> Any:
    word = str(value).strip().lower()
    return "false" if word in YES else "true" if word in NO else value


def _of_sdxl(name: str, value: Any) -> bool:
    """The VAE that old templates name, and that is SimpleTuner's own default."""
    return name == "pretrained_vae_model_name_or_path" and "sdxl" in str(value)


def with_variables(raw: Any, environment: Mapping[str, str]) -> Any:
    """`{env:NAME}` inside texts becomes the variable of config.env, else of the system, else nothing."""
    if isinstance(raw, dict):
        return {key: with_variables(value, environment) for key, value in raw.items()}
    if isinstance(raw, list):
        return [with_variables(value, environment) for value in raw]
    if not isinstance(raw, str):
        return raw
    return re.sub(
        r"\{env:(\w+)\}", lambda found: environment.get(found[1], os.environ.get(found[1], "")), raw
    )


def named_files(document: Mapping[str, Any]) -> dict[str, str]:
    """The keys of objects and lists that name a file instead, with that file's own name."""
    of_files = {key for spec in specs() if spec.kind in ("json", "list", "names") for key in spec.keys}
    return {
        key: Path(value).name
        for key, value in document.items()
        if bare(key) in of_files and isinstance(value, str) and value.strip().endswith(".json")
    }


def build(values: Mapping[str, Any], **others: Any) -> RunSettings:
    """Settings from values by name; `others` are the fields that are no section."""
    sections = {
        section: owner(**{f.name: values[f.name] for f in fields(owner) if f.name in values})
        for section, owner in SECTIONS.items()
    }
    return RunSettings(**sections, **others)


def flat(settings: RunSettings) -> dict[str, Any]:
    """Every value by its key; names are unique over the sections."""
    return {spec.name: getattr(getattr(settings, spec.section), spec.name) for spec in specs()}


def write(
    document: Mapping[str, Any],
    before: RunSettings,
    after: RunSettings,
    filled: Mapping[str, Any] = NOTHING,
) -> dict[str, Any]:
    """The document as it should stand now; keys that a file should have are added to a new one.

    Where anything changes, what was filled in at reading is written down too: its reason may be gone.
    """
    values = flat(after)
    start = document or {spec.name: values[spec.name] for spec in specs() if spec.required}
    result = encode(start, specs(), flat(before), values, abbreviations=True)
    return (
        result
        if result == document
        else result | {name: plain(values[name]) for name in filled if name not in result}
    )


def _filled_in(told: Mapping[str, Any], filled: Mapping[str, Any]) -> Iterator[str]:
    for spec in specs():
        if spec.required and spec.name not in told:
            yield f"{NAME}: '{spec.name}' is not given; {shown(spec.default)} is used."
    if not told.keys() & {"max_train_steps", "num_train_epochs"}:
        yield f"{NAME}: neither 'max_train_steps' nor 'num_train_epochs' is given; 1 epoch is trained."
    for name, value in filled.items():
        reason = "because there is a lycoris_config.json"
        yield f"{NAME}: '{name}' is not given; {shown(value)} is used, {reason}."


def _contradictions(found: Decoded, twins: Mapping[str, str]) -> Iterator[str]:
    for key, value in twins.items():
        own = found.values.get(key)
        if own is not None and str(own) != value:
            yield f"{NAME} says {shown(own)} for '{key}' and {env_file.NAME} {value}; {NAME} counts."

"""multidatabackend.json: a list of datasets; entries without pictures (text_embeds …) stay as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tuner.errors import Problem
from tuner.files.codec import Decoded, decode, encode, notes
from tuner.settings import useless
from tuner.settings.dataset import CONDITIONING, EVALUATION, PICTURES, ImageDataset
from tuner.settings.run import RunSettings, dataset_specs
from tuner.settings.values import nearest

NAME = "multidatabackend.json"
STORES = ("text_embeds", "image_embeds", "conditioning_image_embeds")
WITH_PICTURES = (PICTURES, CONDITIONING, EVALUATION)
STORE_KEYS = ("id", "type", "dataset_type", "default", "disabled", "disable", "caption_filter_list")
KINDS = (*WITH_PICTURES, "video", "audio", "caption", *STORES)


@dataclass
class Backends:
    """What the list held; problems have paths like `datasets.<id>.<key>`."""

    datasets: list[ImageDataset] = field(default_factory=list)
    unused: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read(document: Sequence[Any], names: Mapping[str, str]) -> Backends:
    """`names` fills `{model_family}`, `{output_dir}` and, per entry, `{id}` in texts."""
    found = Backends()
    for number, entry in enumerate(document, start=1):
        if not isinstance(entry, dict):
            name = f"entry {number}"
            found.problems.append(
                Problem(f"datasets.{name}.id", "id", entry, f"{name} is no object in braces.")
            )
            continue
        name = str(entry.get("id") or f"entry {number}")
        if has_pictures(entry):
            _pictures(found, entry, name, {**names, "id": name})
        elif not (entry.get("disabled") or entry.get("disable")):
            _other(found, entry, name)
    found.datasets = [_with_filters(one, _text_stores(document)) for one in found.datasets]
    return found


def _text_stores(document: Sequence[Any]) -> list[Mapping[str, Any]]:
    """The caches of captions, the default one first."""
    stores = [entry for entry in document if isinstance(entry, dict) and _kind(entry) == "text_embeds"]
    on = [entry for entry in stores if not (entry.get("disabled") or entry.get("disable"))]
    return sorted(on, key=lambda entry: not entry.get("default"))


def _with_filters(one: ImageDataset, stores: Sequence[Mapping[str, Any]]) -> ImageDataset:
    """In SimpleTuner the list of what is taken out of captions stands in their cache's entry."""
    own = [store for store in stores if store.get("id") == one.text_embeds] or stores
    if one.caption_filter_list is not None or not own or not own[0].get("caption_filter_list"):
        return one
    given = own[0]["caption_filter_list"]
    return replace(one, caption_filter_list=given if isinstance(given, str) else tuple(map(str, given)))


def has_pictures(entry: Mapping[str, Any]) -> bool:
    """Pictures to learn from, or masks, references or pictures kept apart."""
    return _kind(entry) in WITH_PICTURES


def _kind(entry: Mapping[str, Any]) -> str:
    return str(entry.get("dataset_type") or PICTURES).lower()


def _pictures(found: Backends, entry: Mapping[str, Any], name: str, names: Mapping[str, str]) -> None:
    raw = {key: placeholders(value, names) for key, value in entry.items()}
    one = decode({**raw, "dataset_type": _kind(entry)}, dataset_specs(), f"datasets.{name}")
    found.datasets.append(ImageDataset(**one.values))
    if one.unused:
        found.unused[name] = one.unused
    if found.datasets[-1].disabled:
        return
    where = f" of dataset '{name}'"
    found.problems += one.problems
    found.notes += notes(NAME, one, dataset_specs(), useless.DATASET, where)


def _other(found: Backends, entry: Mapping[str, Any], name: str) -> None:
    """Stores of encoded things need no settings here; every other kind would change the training."""
    kind = entry["dataset_type"]
    if _kind(entry) in STORES:
        unused = {key: raw for key, raw in entry.items() if key not in STORE_KEYS}
        found.notes += notes(NAME, Decoded(unused=unused), (), useless.STORE, f" of '{name}'")
    elif _kind(entry) in KINDS:
        message = (
            f"Dataset '{name}' has the dataset_type '{kind}', but FLUX learns from pictures; disable it."
        )
        found.problems.append(Problem(f"datasets.{name}.dataset_type", "dataset_type", kind, message))
    else:
        message = f"Dataset '{name}' has the dataset_type '{kind}', which is unknown."
        meant = nearest(kind, KINDS)
        hint = f" Did you mean '{meant}'?" if meant else " Pictures need 'image', or nothing."
        found.problems.append(Problem(f"datasets.{name}.dataset_type", "dataset_type", kind, message + hint))


def placeholders(raw: Any, names: Mapping[str, str]) -> Any:
    if isinstance(raw, str):
        for name, text in names.items():
            raw = raw.replace("{" + name + "}", text)
    return raw


def write(document: Sequence[Any], before: RunSettings, after: RunSettings) -> list[Any]:
    """The list as it should stand now; entries are matched by id, new ones come before the stores."""
    old, rest = _numbered(before.datasets), _numbered(after.datasets)
    seen: Counter[str] = Counter()
    result: list[Any] = []
    for entry in document:
        name = str(entry.get("id") or "")
        if not has_pictures(entry):
            result.append(entry)
            continue
        key = (name, seen[name])
        seen[name] += 1
        if key in rest:
            result.append(encode(entry, dataset_specs(), vars(old[key]), vars(rest.pop(key))))
    fresh = [_new(one) for one in rest.values()]
    position = next((i for i, entry in enumerate(result) if not has_pictures(entry)), len(result))
    return result[:position] + fresh + result[position:]


def _numbered(datasets: Sequence[ImageDataset]) -> dict[tuple[str, int], ImageDataset]:
    """By id and how often it came before: a switched-off entry may share its id with another."""
    seen: Counter[str] = Counter()
    found = {}
    for one in datasets:
        found[one.id, seen[one.id]] = one
        seen[one.id] += 1
    return found


def _new(one: ImageDataset) -> dict[str, Any]:
    told = {"id": one.id, "type": one.type, "instance_data_dir": one.instance_data_dir}
    return told | encode({}, dataset_specs(), vars(ImageDataset()), vars(one))

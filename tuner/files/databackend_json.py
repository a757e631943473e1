"""multidatabackend.json: a list of datasets; entries that are no pictures (text_embeds …) are kept as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tuner.errors import Problem
from tuner.files.codec import decode, encode, unused_note
from tuner.settings.dataset import ImageDataset
from tuner.settings.run import RunSettings, dataset_specs
from tuner.settings.values import nearest

NAME = "multidatabackend.json"
STORES = ("text_embeds", "image_embeds", "conditioning_image_embeds")
KINDS = ("image", "conditioning", "eval", "video", "audio", "caption", *STORES)
NOT_NEEDED = (
    "dataset_type",
    "write_batch_size",
    "read_batch_size",
    "image_processing_batch_size",
    "max_workers",
    "metadata_update_interval",
    "preserve_data_backend_cache",
    "skip_file_discovery",
    "hash_filenames",
    "scan_for_errors",
    "vae_cache_scan_behaviour",
    "compress_cache",
    "cache_file_suffix",
)


@dataclass
class Backends:
    """What the list held; `place` in a problem's path is `datasets.<id>`."""

    datasets: list[ImageDataset] = field(default_factory=list)
    text_cache_dir: str | None = None
    unused: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read(document: Sequence[Any], names: Mapping[str, str]) -> Backends:
    """`names` fills `{model_family}`, `{output_dir}` and, per entry, `{id}` in texts."""
    found = Backends()
    for number, entry in enumerate(document, start=1):
        kind = entry.get("dataset_type", "image") if isinstance(entry, dict) else None
        name = str(entry.get("id") or f"entry {number}") if isinstance(entry, dict) else f"entry {number}"
        off = isinstance(entry, dict) and (entry.get("disabled") or entry.get("disable"))
        if not isinstance(entry, dict):
            found.problems.append(_problem(name, "id", entry, f"{name} is not an object in braces."))
        elif str(kind).lower() == "image":
            _image(found, entry, name, {**names, "id": name})
        elif str(kind).lower() == "text_embeds" and not off:
            found.text_cache_dir = found.text_cache_dir or entry.get("cache_dir")
        elif str(kind).lower() not in STORES and not off:
            found.problems.append(_unknown_kind(name, kind))
    return found


def _image(found: Backends, entry: Mapping[str, Any], name: str, names: Mapping[str, str]) -> None:
    one = decode({key: placeholders(raw, names) for key, raw in entry.items()}, dataset_specs(), f"datasets.{name}")
    values = one.values
    found.datasets.append(ImageDataset(**values))
    if not values.get("disabled"):
        found.problems += one.problems
    if one.unused:
        found.unused[name] = one.unused
    for key in one.unused:
        if key not in NOT_NEEDED:
            found.notes.append(unused_note(NAME, key, dataset_specs(), f" of dataset '{name}'"))


def placeholders(raw: Any, names: Mapping[str, str]) -> Any:
    if isinstance(raw, str):
        for name, text in names.items():
            raw = raw.replace("{" + name + "}", text)
    return raw


def write(document: Sequence[Any], before: RunSettings, after: RunSettings) -> list[Any]:
    """The list as it should stand now: entries are matched by id, new ones come before the stores, gone ones go."""
    old, rest = _numbered(before.datasets), _numbered(after.datasets)
    seen: Counter[str] = Counter()
    result: list[Any] = []
    for entry in document:
        name = str(entry.get("id") or "")
        if not _is_image(entry):
            result.append(entry)
            continue
        key = (name, seen[name])
        seen[name] += 1
        if key in rest:
            result.append(encode(entry, dataset_specs(), vars(old[key]), vars(rest.pop(key))))
    fresh = [_new(one) for one in rest.values()]
    position = next((i for i, entry in enumerate(result) if not _is_image(entry)), len(result))
    result = result[:position] + fresh + result[position:]
    if after.text_cache_dir != before.text_cache_dir:
        return _with_text_cache(result, after.text_cache_dir)
    return result


def _numbered(datasets: Sequence[ImageDataset]) -> dict[tuple[str, int], ImageDataset]:
    """By id and how often it came before: a switched-off entry may share its id with another."""
    seen: Counter[str] = Counter()
    found = {}
    for one in datasets:
        found[one.id, seen[one.id]] = one
        seen[one.id] += 1
    return found


def _is_image(entry: Mapping[str, Any]) -> bool:
    return str(entry.get("dataset_type", "image")).lower() == "image"


def _new(one: ImageDataset) -> dict[str, Any]:
    told = {"id": one.id, "type": one.type, "instance_data_dir": one.instance_data_dir}
    return encode(told, dataset_specs(), vars(ImageDataset(**told)), vars(one))


def _with_text_cache(document: list[Any], folder: str | None) -> list[Any]:
    stores = [entry for entry in document if str(entry.get("dataset_type")).lower() == "text_embeds"]
    if not stores:
        return [*document, {"id": "text-embeds", "type": "local", "dataset_type": "text_embeds", "default": True, "cache_dir": folder}]
    return [{**entry, "cache_dir": folder} if entry is stores[0] else entry for entry in document]


def _unknown_kind(name: str, kind: Any) -> Problem:
    if kind in KINDS:
        message = f"Dataset '{name}' has the dataset_type '{kind}', which is not supported yet; take it out or disable it."
        return _problem(name, "dataset_type", kind, message, {f"datasets.{name}.disabled": True})
    meant = nearest(kind, KINDS) or "image"
    return _problem(name, "dataset_type", kind, f"Dataset '{name}' has the unknown dataset_type '{kind}'. Did you mean '{meant}'?")


def _problem(name: str, key: str, value: Any, message: str, change: Mapping[str, Any] | None = None) -> Problem:
    return Problem(f"datasets.{name}.{key}", key, value, message, change or {})

"""From folders to the DatasetIndex: every picture file is opened, and used or left out with a reason."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from tuner.dataset import chosen, counts, decoding, geometry
from tuner.dataset.captions import CaptionProblem, captions_of
from tuner.dataset.facts import Facts, facts_of
from tuner.dataset.index import DatasetEntry, DatasetIndex, LeftOut, Picture
from tuner.dataset.keys import content_key
from tuner.dataset.pairs import Partner, joined, partner_of
from tuner.dataset.rules import Rules, rules_of
from tuner.errors import Advice, EmptyDataset, Problem, SettingsInvalid
from tuner.settings.run import RunSettings

KNOWN = decoding.EXTENSIONS | decoding.UNOPENED.keys()
Found = tuple[list[Path], list[tuple[Path, str]]]
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Scanned:
    """One dataset after its files were judged; perhaps nothing of it can be used."""

    rules: Rules
    partners: tuple[Partner, ...]
    num_files: int
    pictures: tuple[Picture, ...]
    left_out: tuple[LeftOut, ...]


def unheard(done: int, total: int) -> None:
    """Where nobody asks how far it is."""


def scan(settings: RunSettings) -> DatasetIndex:
    """Reads all datasets that are switched on.

    Raises SettingsInvalid for missing folders, EmptyDataset where nothing in a dataset can be used.
    """
    return settled(look(settings), settings)


def look(settings: RunSettings, report: Report = unheard) -> tuple[Scanned, ...]:
    """All that is there, whether a run can use it or not: those to learn from, then those kept apart.

    `report` hears of every file (files read, files); what it raises ends the look. Raises SettingsInvalid for
    missing folders.
    """
    rules = [rules_of(one, settings) for one in settings.active_datasets]
    rules += [replace(rules_of(one, settings), prune=False) for one in settings.evaluation_datasets]
    _require_folders([each for one in rules for each in (one, *one.companions)])
    found = {folder: find(folder, _inside(folder, rules)) for folder in _folders(rules)}
    facts: dict[Path, Facts | str] = {}
    total = sum(len(files) for files, _ in found.values())

    def heard(done: int) -> None:
        report(len(facts) + done, total)

    for folder, (files, _) in found.items():
        facts |= facts_of(files, _memory(folder, settings), heard)
    return tuple(_scanned(one, found, facts) for one in rules)


def settled(scanned: Sequence[Scanned], settings: RunSettings) -> DatasetIndex:
    """What a run would use; raises EmptyDataset."""
    for one in scanned:
        if not one.pictures:
            raise _empty(one)
        _require_pairs(one)
    entries = [_entry(one.rules, one.pictures) for one in scanned]
    num_learned = len(settings.active_datasets)
    index = DatasetIndex(
        tuple(entries[:num_learned]),
        tuple(each for one in scanned for each in one.left_out),
        evaluation=tuple(entries[num_learned:]),
    )
    if settings.dataset.allow_dataset_oversubscription:
        return _oversubscribed(index, settings.optimization.gradient_accumulation_steps)
    return index


def find(folder: Path, without: Collection[Path] = ()) -> Found:
    """(picture files below the folder in natural order, subfolders that cannot be read with the reason).

    Hidden files and folders are passed over, and those of `without`; linked folders are followed, each real
    folder once.
    """
    failed: list[OSError] = []
    files = sorted(
        _walk(folder, without, failed), key=lambda path: _natural(path.relative_to(folder).as_posix())
    )
    return files, [
        (Path(error.filename), f"The folder cannot be read ({error.strerror}).") for error in failed
    ]


def _walk(folder: Path, without: Iterable[Path], failed: list[OSError]) -> Iterator[Path]:
    seen = {os.path.realpath(one) for one in (folder, *without)}

    def fresh(path: str) -> bool:
        real = os.path.realpath(path)
        new = real not in seen
        seen.add(real)
        return new

    for root, subfolders, names in os.walk(folder, onerror=failed.append, followlinks=True):
        subfolders[:] = [
            name
            for name in sorted(subfolders)
            if not name.startswith(".") and fresh(os.path.join(root, name))
        ]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in KNOWN:
                yield Path(root, name)


def _natural(text: str) -> tuple[list[tuple[str, int]], str]:
    """Sorts 2.png before 10.png."""
    return [(words.casefold(), int(digits or 0)) for words, digits in re.findall(r"(\D*)(\d*)", text)], text


def _memory(folder: Path, settings: RunSettings) -> Path:
    """Where the facts of its files are kept: not among the pictures."""
    cache = settings.dataset.cache_dir
    return Path(cache or ".tmp") / "pictures" / f"{content_key(os.fsencode(folder))}.json"


def _folders(rules: list[Rules]) -> list[Path]:
    return list(dict.fromkeys(each.folder for one in rules for each in (one, *one.companions)))


def _inside(folder: Path, rules: list[Rules]) -> list[Path]:
    """Masks and references may lie in a subfolder of their pictures, and are no pictures to learn from."""
    return [
        other.folder
        for one in rules
        if one.folder == folder
        for other in one.companions
        if other.folder != folder
    ]


def _scanned(rules: Rules, found: Mapping[Path, Found], facts: Mapping[Path, Facts | str]) -> Scanned:
    files, unreadable = found[rules.folder]
    files = _sampled(files, rules)
    partners = tuple(partner_of(other, found[other.folder][0]) for other in rules.companions)
    unwanted = chosen.left_out(rules.folder)
    judged = [_judge(path, facts[path], rules, path in unwanted) for path in files]
    shared = Counter(path.with_suffix("") for path in files) if rules.captions.strategy == "textfile" else {}
    judged = [
        joined(_marked(each, shared), rules.folder, partners, facts) if isinstance(each, Picture) else each
        for each in judged
    ]
    usable, pruned = _pruned([each for each in judged if isinstance(each, Picture)], rules)
    left_out = [LeftOut(folder, rules.settings.id, reason) for folder, reason in unreadable]
    left_out += [each for each in judged if isinstance(each, LeftOut)] + pruned
    return Scanned(rules, partners, len(files), tuple(usable), tuple(left_out))


def _sampled(files: list[Path], rules: Rules) -> list[Path]:
    """At most `max_num_samples`, drawn by the dataset's id, in their order; before anything is left out."""
    most = rules.settings.max_num_samples
    if not most or most >= len(files):
        return files
    chosen = set(Random(rules.settings.id).sample(files, most))
    return [path for path in files if path in chosen]


def _judge(path: Path, facts: Facts | str, rules: Rules, unwanted: bool) -> Picture | LeftOut:
    name = rules.settings.id
    if isinstance(facts, str):
        return LeftOut(path, name, facts)
    if unwanted:
        return LeftOut(path, name, "You left it out.", facts.size, "chosen", facts.content)
    reason = geometry.excluded(facts.size, rules.geometry, facts.chance)
    if reason:
        return LeftOut(path, name, reason, facts.size, "size", facts.content)
    try:
        captions = captions_of(path, rules.captions)
    except CaptionProblem as problem:
        return LeftOut(path, name, problem.message, facts.size, "caption", facts.content)
    at = geometry.place(facts.size, rules.geometry, facts.chance)
    return Picture(
        path=path,
        dataset=name,
        content=facts.content,
        original_size=facts.size,
        resize_size=at.resize_size,
        target_size=at.target_size,
        crop_top_left=at.crop_top_left,
        aspect_bucket=at.aspect_bucket,
        captions=captions.texts,
        remarks=captions.remarks,
        signs=facts.signs,
    )


def _marked(picture: Picture, shared: Mapping[Path, int]) -> Picture:
    """`shared` counts the files of one name; its ending is no part of it."""
    if shared.get(picture.path.with_suffix(""), 1) < 2:
        return picture
    remark = f"Another picture is called '{picture.path.stem}' too; both have the same caption file."
    return replace(picture, remarks=(*picture.remarks, remark))


def _pruned(pictures: list[Picture], rules: Rules) -> tuple[list[Picture], list[LeftOut]]:
    """With a minimum size, as in SimpleTuner, buckets below one batch are left out instead of refused."""
    entry = _entry(rules, pictures)
    if not rules.prune:
        return pictures, []
    small = {
        bucket: f"Only {len(group)} of {width} x {height} px, too few for a batch of {entry.batch_size}."
        for bucket, group in entry.buckets.items()
        for width, height in bucket[:1]
        if len(group) * (entry.repeats + 1) < entry.batch_size
    }
    return [one for one in pictures if one.bucket not in small], [
        LeftOut(one.path, one.dataset, small[one.bucket], one.original_size, "bucket", one.content)
        for one in pictures
        if one.bucket in small
    ]


def _entry(rules: Rules, pictures: Sequence[Picture]) -> DatasetEntry:
    one = rules.settings
    return DatasetEntry(
        one.id,
        tuple(pictures),
        one.repeats,
        one.probability,
        one.train_batch_size or 1,
        is_regularisation=one.is_regularisation_data,
        timestep_offset=one.timestep_sampling_offset,
        start_epoch=one.start_epoch,
        start_step=one.start_step,
        end_epoch=_end(one.end_epoch),
        end_step=_end(one.end_step),
    )


def _end(given: int | None) -> int | None:
    """0 and below mean never, as in SimpleTuner."""
    return given if given and given > 0 else None


def _oversubscribed(index: DatasetIndex, accumulation: int) -> DatasetIndex:
    """Raises the repeats of datasets that have none and could not fill a step, and says so."""
    entries, notes = [], []
    for entry in index.datasets:
        least = counts.least_repeats(entry, accumulation)
        if entry.repeats == 0 and least > 0:
            notes.append(
                f"The repeats of dataset '{entry.id}' were raised to {least}, so that it fills one step."
            )
            entry = replace(entry, repeats=least)
        entries.append(entry)
    return replace(index, datasets=tuple(entries), notes=tuple(notes))


def _require_folders(rules: list[Rules]) -> None:
    missing = [one for one in rules if not one.folder.is_dir()]
    if missing:
        raise SettingsInvalid(*(_missing(one) for one in missing))


def _missing(rules: Rules) -> Problem:
    one = rules.settings
    return Problem(
        f"datasets.{one.id}.instance_data_dir",
        "instance_data_dir",
        one.instance_data_dir,
        f"Dataset '{one.id}': there is no folder '{rules.folder}'.",
    )


def _require_pairs(one: Scanned) -> None:
    """Raises EmptyDataset where masks are asked for and none belongs to any picture."""
    used = {picture.mask.dataset for picture in one.pictures if picture.mask}
    used |= {reference.dataset for picture in one.pictures for reference in picture.references}
    for partner in one.partners:
        if partner.id not in used:
            raise EmptyDataset(
                f"No file in '{partner.rules.folder}' (dataset '{partner.id}') has the name of a picture in "
                f"'{one.rules.folder}'.",
                Advice(f"Give each {partner.kind.word} the name of its picture; the ending may differ."),
            )


def _empty(one: Scanned) -> EmptyDataset:
    where = f"'{one.rules.folder}' (dataset '{one.rules.settings.id}')"
    if not one.num_files:
        return EmptyDataset(
            f"There are no pictures in {where}.",
            Advice("Put PNG, JPEG or WebP files there, or choose another folder."),
        )
    examples = " ".join(f"{each.path.name}: {each.reason}" for each in one.left_out[:3])
    return EmptyDataset(f"None of the {one.num_files} pictures in {where} can be used. {examples}")

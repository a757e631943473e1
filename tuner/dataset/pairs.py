"""Masks and reference pictures: which file belongs to which picture, and whether it fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tuner.dataset import geometry
from tuner.dataset.facts import Facts
from tuner.dataset.index import Companion, LeftOut, Picture
from tuner.dataset.rules import Rules


@dataclass(frozen=True)
class Kind:
    """One `conditioning_type`. Without a `needed` companion a picture is left out; `aligned` ones have the
    shape of their picture and are cut as it is.
    """

    word: str
    companion: str
    needed: bool
    aligned: bool


KINDS: Mapping[str, Kind] = {
    "mask": Kind("mask", "mask", needed=False, aligned=True),
    "segmentation": Kind("mask", "segmentation", needed=False, aligned=True),
    "reference_strict": Kind("reference picture", "reference", needed=True, aligned=True),
    "reference_loose": Kind("reference picture", "reference", needed=True, aligned=False),
}


@dataclass(frozen=True)
class Partner:
    """A conditioning dataset and its files, by their path inside its folder without the ending."""

    rules: Rules
    files: Mapping[str, tuple[Path, ...]]

    @property
    def id(self) -> str:
        return self.rules.settings.id

    @property
    def kind(self) -> Kind:
        return KINDS[str(self.rules.settings.conditioning_type)]


def partner_of(rules: Rules, files: Iterable[Path]) -> Partner:
    """The files as `scan.find` finds them below the folder of `rules`."""
    found: dict[str, tuple[Path, ...]] = {}
    for path in files:
        stem = _stem(path, rules.folder)
        found[stem] = (*found.get(stem, ()), path)
    return Partner(rules, found)


def joined(
    picture: Picture, folder: Path, partners: Iterable[Partner], facts: Mapping[Path, Facts | str]
) -> Picture | LeftOut:
    """The picture with what the partners hold for it, or the reason why it cannot be used without."""
    for one in partners:
        found = _companion(picture, folder, one, facts)
        if isinstance(found, str):
            return LeftOut(
                picture.path, picture.dataset, found, picture.original_size, "pair", picture.content
            )
        if found is None:
            remark = f"It has no mask in '{one.rules.folder}', so all of it is trained on."
            picture = replace(picture, remarks=(*picture.remarks, remark))
        elif one.kind.companion == "reference":
            picture = replace(picture, references=(*picture.references, found))
        else:
            picture = replace(picture, mask=found)
    return picture


def _companion(
    picture: Picture, folder: Path, one: Partner, facts: Mapping[Path, Facts | str]
) -> Companion | str | None:
    """None where there is none and none is needed; a text is the reason why what is there cannot be used."""
    kind = one.kind
    found = one.files.get(_stem(picture.path, folder), ())
    same = tuple(path for path in found if path.suffix == picture.path.suffix)
    if not found:
        return f"It has no {kind.word} in '{one.rules.folder}'." if kind.needed else None
    if len(found) > 1 and len(same) != 1:
        names = ", ".join(path.name for path in found)
        return f"It has {len(found)} {kind.word}s in '{one.rules.folder}' ({names}); keep one."
    (path,) = same if len(found) > 1 else found
    fact = facts[path]
    if isinstance(fact, str):
        return f"Its {kind.word} '{path}' cannot be used. {fact}"
    companion = Companion(path, fact.content, kind.companion, one.id, fact.size)
    if kind.aligned:
        return _aligned(picture, companion, kind)
    return _placed(companion, kind, one.rules, fact.chance)


def _aligned(picture: Picture, companion: Companion, kind: Kind) -> Companion | str:
    if geometry.same_shape(picture.original_size, companion.original_size):
        return companion
    (width, height), (own_width, own_height) = companion.original_size, picture.original_size
    return (
        f"Its {kind.word} '{companion.path}' is {width} x {height} px, which is not the shape of "
        f"{own_width} x {own_height} px."
    )


def _placed(companion: Companion, kind: Kind, rules: Rules, chance: float) -> Companion | str:
    own = geometry.for_references(rules.geometry)
    reason = geometry.excluded(companion.original_size, own, chance)
    if reason:
        return f"Its {kind.word} '{companion.path}' cannot be used. {reason}"
    return replace(companion, place=geometry.place(companion.original_size, own, chance))


def _stem(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()

"""The image doctor: what may spoil a training, found without a model; looking changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.dataset.captions import says
from tuner.dataset.index import LeftOut, Picture
from tuner.dataset.scan import Scanned
from tuner.dataset.signs import HASH_SIZE
from tuner.dataset.tokens import Encoder

ENLARGED, BLURRED = 1.1, 0.55
"""From these on it is told. Sharp photographs blur to 0.15 to 0.35; one softened by 2 px to 0.45 to 0.75."""
ALIKE = 8
"""Of 256 bits; a copy in another size, compression or brightness differs by 0 to 6, another view by 30 on."""
ROWS, WORDS = 64, HASH_SIZE**2 // 64


@dataclass(frozen=True)
class Finding:
    """`fix` is a row of `mending.FIXES` where one click can mend it; `left_out`: it is not used at all."""

    kind: str
    file: str
    dataset: str
    sentence: str
    fix: str = ""
    left_out: bool = False


CAPTION_FIXES = ("add trigger", "write caption")

Check = Callable[[Picture, Scanned], str | None]


def examine(scanned: Sequence[Scanned], encoders: Sequence[Encoder]) -> tuple[Finding, ...]:
    """One finding for each thing that is wrong with a file, in the order of `scan.look`.

    A file that several datasets use is named once for each thing.
    """
    pictures = {one.path: one for each in scanned for one in each.pictures}
    found = [_left_out(one, each) for each in scanned for one in each.left_out]
    found += [
        Finding(kind, str(one.path), one.dataset, sentence, _possible(fix, each))
        for each in scanned
        for one in each.pictures
        for kind, check, fix in CHECKS
        if (sentence := check(one, each))
    ]
    found += _alike(list(pictures.values())) + _long_captions(list(pictures.values()), encoders)
    return tuple({(one.kind, one.file, one.sentence): one for one in found}.values())


def _left_out(one: LeftOut, of: Scanned) -> Finding:
    kind, fix = CAUSES[one.kind]
    return Finding(kind, str(one.path), one.dataset, one.reason, _possible(fix, of), True)


def _possible(fix: str, of: Scanned) -> str:
    """A caption can be mended only where it stands in a file of its own."""
    return fix if fix not in CAPTION_FIXES or of.rules.captions.strategy == "textfile" else ""


CAUSES: Mapping[str, tuple[str, str]] = {
    "file": ("corrupt", ""),
    "size": ("too small", ""),
    "caption": ("no caption", "write caption"),
    "pair": ("no companion", ""),
    "bucket": ("too few alike", ""),
    "chosen": ("left out", "take back"),
}
"""Of a file that is not used: what that is called here, and what would bring it in."""


def _too_small(one: Picture, _: Scanned) -> str | None:
    if one.enlargement < ENLARGED:
        return None
    width, height = one.original_size
    return f"It is only {width} x {height} px and would be enlarged {one.enlargement:.1f} times."


def _blurred(one: Picture, _: Scanned) -> str | None:
    return "It looks blurred; the model would learn that." if one.signs.blur >= BLURRED else None


def _bordered(one: Picture, _: Scanned) -> str | None:
    """What the crop cuts off in any case does no harm."""
    cut = one.crop_box or (0.0, 0.0, 1.0, 1.0)
    kept = (cut[0], cut[1], 1 - cut[2], 1 - cut[3])
    sides = [
        f"{side} ({border:.0%})"
        for side, border, gone in zip(
            ("left", "top", "right", "bottom"), one.signs.borders, kept, strict=True
        )
        if border > gone
    ]
    return f"It has a border: {', '.join(sides)}. Cut it off in a picture program." if sides else None


def _turned(one: Picture, _: Scanned) -> str | None:
    return "A note in the file turns it; it is trained on as you see it here." if one.signs.turned else None


def _odd(one: Picture, _: Scanned) -> str | None:
    return " ".join(one.remarks) or None


def _without_trigger(one: Picture, of: Scanned) -> str | None:
    triggers = of.rules.captions.instance_prompts
    if not triggers or of.rules.settings.is_regularisation_data:
        return None
    lacking = [text for text in one.captions if not any(says(text, trigger) for trigger in triggers)]
    return f"Its caption does not hold the trigger word '{triggers[0]}'." if lacking else None


CHECKS: tuple[tuple[str, Check, str], ...] = (
    ("too small", _too_small, "leave out"),
    ("blurred", _blurred, "leave out"),
    ("border", _bordered, "leave out"),
    ("turned", _turned, ""),
    ("odd", _odd, ""),
    ("no trigger", _without_trigger, "add trigger"),
)
"""(kind, what says so, the fix) of pictures that are used."""


def _alike(pictures: Sequence[Picture]) -> list[Finding]:
    """Every picture that looks like an earlier one, named with the first such."""
    seen = [one for one in pictures if one.signs.fingerprint]
    joined = bytes.fromhex("".join(one.signs.fingerprint for one in seen))
    prints = np.frombuffer(joined, dtype=np.uint64).reshape(-1, WORDS)
    found = [_twin(one, first) for one, first in _same_bytes(pictures)]
    told = {one.file for one in found}
    for start in range(0, len(seen), ROWS):
        differ = np.bitwise_count(prints[start : start + ROWS, None] ^ prints[: start + ROWS]).sum(
            -1, np.uint16
        )
        for row, number in zip(differ <= ALIKE, range(start, len(seen)), strict=False):
            first = int(row.argmax())
            if first < number and str(seen[number].path) not in told:
                found.append(_twin(seen[number], seen[first]))
    return found


def _same_bytes(pictures: Iterable[Picture]) -> list[tuple[Picture, Picture]]:
    firsts: dict[str, Picture] = {}
    pairs = [(one, firsts.setdefault(one.content, one)) for one in pictures]
    return [(one, first) for one, first in pairs if one is not first]


def _twin(one: Picture, first: Picture) -> Finding:
    same = "is the same picture as" if one.content == first.content else "looks nearly like"
    sentence = f"It {same} '{first.path.name}', so that it counts twice."
    return Finding("near-duplicate", str(one.path), one.dataset, sentence, "leave out")


def _long_captions(pictures: Sequence[Picture], encoders: Sequence[Encoder]) -> list[Finding]:
    texts = [(one, text) for one in pictures for text in one.captions]
    found = []
    for encoder in encoders:
        counted = encoder.count([text for _, text in texts])
        about = "" if encoder.exact else "about "
        found += [
            Finding(
                "long caption",
                str(one.path),
                one.dataset,
                f"{encoder.name} reads {encoder.limit} tokens of its caption, which has {about}{number}. "
                f"{encoder.consequence}",
            )
            for (one, _), number in zip(texts, counted, strict=True)
            if number > encoder.limit
        ]
    return found

"""What is changed in captions before they are encoded: parts taken out, tags in another order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random

SPLITS: Mapping[str, tuple[str, str]] = {"comma": (",", ", "), "space": (" ", " "), "period": (".", ". ")}
"""Where a caption is split into tags, and what stands between them afterwards."""


@dataclass(frozen=True)
class Shuffle:
    """`count` other orders of the tags of each caption; the first `position_start` tags stay in place."""

    count: int = 1
    seed: int = 0
    split_on: str = "comma"
    position_start: int = 0
    include_original: bool = True


@dataclass(frozen=True)
class Filter:
    """`plain` text that is taken out, then what `pattern` finds becomes `by`."""

    plain: str
    pattern: re.Pattern[str] | None = None
    by: str = ""


def parsed(entry: str) -> Filter:
    """One entry of caption_filter_list: `s/pattern/replacement/`, else a text that is also tried as a regular
    expression, as in SimpleTuner. Raises ValueError with a sentence.
    """
    found = re.fullmatch(r"s/((?:[^/\\]|\\.)+)/((?:[^/\\]|\\.)*)/?", entry)
    if found:
        try:
            pattern = re.compile(found[1])
            pattern.sub(found[2], "")
        except (re.error, IndexError) as error:
            raise ValueError(f"'{entry}' is no regular expression with its replacement ({error})") from error
        return Filter("", pattern, found[2])
    try:
        return Filter(entry, re.compile(entry))
    except re.error:  # a plain text, such as "C++"
        return Filter(entry)


def filtered(caption: str, filters: Iterable[Filter]) -> str:
    """Without what the filters take out; perhaps nothing is left."""
    for one in filters:
        caption = caption.replace(one.plain, "")
        if one.pattern:
            caption = one.pattern.sub(one.by, caption)
    return caption.strip()


def shuffled(caption: str, rules: Shuffle) -> tuple[str, ...]:
    """The caption in other orders, always the same ones; itself where there is nothing to shuffle."""
    separator, joint = SPLITS[rules.split_on]
    tags = [tag.strip() for tag in caption.split(separator) if tag.strip()]
    first, rest = tags[: rules.position_start], tags[rules.position_start :]
    if len(rest) < 2:
        return (caption,)
    orders = [
        Random(f"{rules.seed} {caption} {number}").sample(rest, len(rest)) for number in range(rules.count)
    ]
    variants = [caption] if rules.include_original else []
    return tuple(dict.fromkeys([*variants, *(joint.join(first + order) for order in orders)]))

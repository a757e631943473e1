from __future__ import annotations

import pytest

from tuner.dataset.caption_edits import Shuffle, filtered, parsed, shuffled


@pytest.mark.parametrize(
    ("caption", "entries", "expected"),
    [
        ("a photo of a dog", ["a photo of "], "a dog"),
        ("a dog, 4k, 8k", [r", \d+k"], "a dog"),
        ("C++ and C", ["C++ and "], "C"),
        ("a dog", ["s/dog/cat/"], "a cat"),
        ("a dog", ["s/dog/cat"], "a cat"),
        ("a dog", [r"s/(\w) dog/dog \1/"], "dog a"),
        ("and/or", [r"s/and\/or/or/"], "or"),
        ("a dog", ["s/ dog//", "a"], ""),
        ("a dog", [], "a dog"),
    ],
)
def test_what_is_taken_out(caption: str, entries: list[str], expected: str) -> None:
    assert filtered(caption, [parsed(entry) for entry in entries]) == expected


@pytest.mark.parametrize("entry", ["s/(/x/", r"s/a/\1/", r"s/a/\g<b>/"])
def test_a_broken_expression_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="is no regular expression"):
        parsed(entry)


def test_the_same_orders_each_time() -> None:
    rules = Shuffle(count=3, seed=1)
    variants = shuffled("a, b ,c,d, ", rules)
    assert variants == shuffled("a, b ,c,d, ", rules) and variants[0] == "a, b ,c,d, "
    assert all(sorted(one.split(", ")) == list("abcd") for one in variants[1:]) and len(variants) == 4
    assert variants != shuffled("a, b ,c,d, ", Shuffle(count=3, seed=2))


def test_the_first_tags_stay() -> None:
    for one in shuffled("a, b, c, d, e", Shuffle(count=9, position_start=2)):
        assert one.startswith("a, b, ")


def test_without_the_original() -> None:
    tags = "one two three four five six"
    assert tags not in shuffled(tags, Shuffle(split_on="space", include_original=False))
    assert shuffled("a. b", Shuffle(count=20, split_on="period", include_original=False)) in (
        ("a. b", "b. a"),
        ("b. a", "a. b"),
    )


@pytest.mark.parametrize("caption", ["one", "a, b", ""])
def test_one_movable_tag_stays_as_it_is(caption: str) -> None:
    assert shuffled(caption, Shuffle(count=5, position_start=1, include_original=False)) == (caption,)

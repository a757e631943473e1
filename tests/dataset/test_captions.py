from __future__ import annotations

from pathlib import Path

import pytest

from tuner.dataset.caption_edits import Shuffle, parsed
from tuner.dataset.captions import STRATEGIES, CaptionProblem, CaptionRules
from tuner.dataset.captions import captions_of as whole_captions_of
from tuner.settings.dataset_defaults import BUILT_STRATEGIES

FILE = CaptionRules("textfile")
TEXTS = [
    (b"a red star", ("a red star",)),
    (b"\xef\xbb\xbfa red star\r\n", ("a red star",)),
    (b"one\r\n\r\n  two  \rthree\n \n", ("one", "two", "three")),
    ("ein Bär\n".encode(), ("ein Bär",)),
    ("wörter\u2028hier".encode(), ("wörter\u2028hier",)),
]
NAMES = [("my_red_star.png", "my red star"), ("a dog, v1.2-b.jpg", "a dog, v1.2-b"), ("_x_.png", "x")]


def captions_of(picture: Path, rules: CaptionRules) -> tuple[str, ...]:
    return whole_captions_of(picture, rules).texts


def with_text(folder: Path, data: bytes) -> Path:
    (folder / "picture.txt").write_bytes(data)
    return folder / "picture.png"


def test_every_strategy_of_the_settings_has_its_row() -> None:
    assert STRATEGIES.keys() == set(BUILT_STRATEGIES)


@pytest.mark.parametrize(("data", "expected"), TEXTS)
def test_a_text_file_gives_one_caption_a_line(tmp_path: Path, data: bytes, expected: tuple[str, ...]) -> None:
    assert captions_of(with_text(tmp_path, data), FILE) == expected


def test_line_breaks_can_stay(tmp_path: Path) -> None:
    picture = with_text(tmp_path, b"one\r\ntwo\n")
    assert captions_of(picture, CaptionRules("textfile", one_per_file=True)) == ("one\ntwo",)


@pytest.mark.parametrize(("name", "expected"), NAMES)
def test_a_file_name_becomes_words(name: str, expected: str) -> None:
    assert captions_of(Path(name), CaptionRules("filename")) == (expected,)


def test_the_instance_prompt_may_be_a_list() -> None:
    rules = CaptionRules("instanceprompt", ("sks ", "a sks"))
    assert captions_of(Path("x.png"), rules) == ("sks", "a sks")


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a dog", "sks a dog"),
        ("a Sks in the rain", "a Sks in the rain"),
        ("asks a question", "sks asks a question"),
    ],
)
def test_the_trigger_is_put_in_front_once(tmp_path: Path, caption: str, expected: str) -> None:
    picture = with_text(tmp_path, caption.encode())
    assert captions_of(picture, CaptionRules("textfile", ("sks",), prepend=True)) == (expected,)


def test_a_trigger_with_signs_of_its_own(tmp_path: Path) -> None:
    rules = CaptionRules("textfile", ("[v*]", "sks"), prepend=True)
    assert captions_of(with_text(tmp_path, b"a [v*] dog"), rules) == ("a [v*] dog", "sks a [v*] dog")


def test_only_the_instance_prompt_needs_no_file(tmp_path: Path) -> None:
    rules = CaptionRules("textfile", ("sks",), only_instance_prompt=True)
    assert captions_of(tmp_path / "picture.png", rules) == ("sks",)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\x00first\n\x81\x8d", "is not UTF-8 text (line 1)"),
        (b"", "is empty"),
        (b"\n \r\n", "is empty"),
    ],
)
def test_a_useless_text_file_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(CaptionProblem) as caught:
        captions_of(with_text(tmp_path, data), FILE)
    assert words in caught.value.message and str(tmp_path / "picture.txt") in caught.value.message


def test_a_missing_text_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CaptionProblem, match="no caption file '.*picture.txt'"):
        captions_of(tmp_path / "picture.png", FILE)


def test_a_folder_in_its_place_is_no_caption(tmp_path: Path) -> None:
    (tmp_path / "picture.txt").mkdir()
    with pytest.raises(CaptionProblem, match="cannot be read"):
        captions_of(tmp_path / "picture.png", FILE)


@pytest.mark.parametrize("rules", [CaptionRules("instanceprompt"), CaptionRules("filename", ("  ",), True)])
def test_an_empty_instance_prompt_is_a_problem(rules: CaptionRules) -> None:
    with pytest.raises(CaptionProblem, match="instance_prompt"):
        captions_of(Path("x.png"), rules)


def test_a_file_name_without_words_is_a_problem() -> None:
    with pytest.raises(CaptionProblem, match="no words"):
        captions_of(Path("___.png"), CaptionRules("filename"))


@pytest.mark.parametrize(
    ("text", "encoding", "told"),
    [
        ("ein schönes Café", "latin-1", "cp1252"),
        ("señor", "latin-1", "cp1252"),
        ("a red star", "utf-16", "utf_16"),
        ("фото женщины в красном", "cp1251", "cp1251"),
    ],
)
def test_other_encodings_are_read_and_told(tmp_path: Path, text: str, encoding: str, told: str) -> None:
    found = whole_captions_of(with_text(tmp_path, text.encode(encoding)), FILE)
    assert found.texts == (text,)
    assert f"is not UTF-8 and was read as {told}" in found.remarks[0] and "picture.txt" in found.remarks[0]


def test_equal_captions_are_one(tmp_path: Path) -> None:
    assert captions_of(with_text(tmp_path, b"one\ntwo\none"), FILE) == ("one", "two")


def test_filters_come_before_the_trigger(tmp_path: Path) -> None:
    rules = CaptionRules("textfile", ("sks",), True, filters=(parsed("sks "), parsed("s/dog/cat/")))
    assert captions_of(with_text(tmp_path, b"a sks dog"), rules) == ("sks a cat",)


def test_a_caption_of_which_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(CaptionProblem, match="Nothing of its caption is left"):
        captions_of(with_text(tmp_path, b"dog"), CaptionRules("textfile", filters=(parsed("dog"),)))


def test_shuffled_tags_come_behind_the_trigger(tmp_path: Path) -> None:
    rules = CaptionRules("textfile", ("sks",), True, shuffle=Shuffle(count=2, position_start=1))
    found = captions_of(with_text(tmp_path, b"a, b, c, d"), rules)
    assert found[0] == "sks a, b, c, d" and 2 <= len(found) <= 3
    assert all(one.startswith("sks a, ") and sorted(one[4:].split(", ")) == list("abcd") for one in found)


@pytest.mark.parametrize("strategy", ["csv", "parquet"])
def test_a_table_gives_captions(tmp_path: Path, strategy: str) -> None:
    rules = CaptionRules(strategy, table={"deep/a": ("one", "two"), "b.png": ()}, folder=tmp_path)
    assert captions_of(tmp_path / "deep" / "a.png", rules) == ("one", "two")
    with pytest.raises(CaptionProblem, match="an empty caption for 'b.png'"):
        captions_of(tmp_path / "b.png", rules)
    with pytest.raises(CaptionProblem, match="no row for 'c.png'"):
        captions_of(tmp_path / "c.png", rules)

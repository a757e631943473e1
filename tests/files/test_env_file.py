from __future__ import annotations

import os

import pytest

from tuner.files.env_file import in_force, read, write


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=1", "1"),
        ("export A=1", "1"),
        ("A = two  words ", "two words"),
        ('A="two  words"', "two  words"),
        ("A='it # stays'", "it # stays"),
        ("A=1 # a comment", "1"),
        ("A=", ""),
        ("A=x=y", "x=y"),
    ],
)
def test_lines(line: str, value: str) -> None:
    assert read(f"# first\n\n{line}\n") == ({"A": value}, [])


def test_appending() -> None:
    assert read("A=one\nA+=' two'\n")[0] == {"A": "one two"}


def test_a_line_that_is_none() -> None:
    values, notes = read("A=1\nwhat is this\n")
    assert values == {"A": "1"}
    assert notes == ["config.env, line 2: 'what is this' is no KEY=value; it stays in the file, unused."]


def test_writing_touches_only_what_changed() -> None:
    text = "# mine\nA=1\nexport B=2\nC=3\n"
    before, _ = read(text)
    assert write(text, before, before) == text
    assert write(text, before, {"A": "1", "B": "a b", "D": "new"}) == '# mine\nA=1\nB="a b"\nD=new\n'


def test_variables_are_in_force_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE_BEFORE", "old")
    with in_force({"HERE_BEFORE": "new", "NEW_ONE": "1", "MIXED_PRECISION": "no", "DISABLE_UPDATES": "1"}):
        assert (os.environ["HERE_BEFORE"], os.environ["NEW_ONE"]) == ("new", "1")
        assert not {"MIXED_PRECISION", "DISABLE_UPDATES"} & os.environ.keys()
    assert os.environ["HERE_BEFORE"] == "old" and "NEW_ONE" not in os.environ

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tuner.dataset import undo
from tuner.errors import TunerError


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "history"


def test_steps_are_taken_back_last_first(tmp_path: Path, history: Path) -> None:
    old, new = tmp_path / "alt.txt", tmp_path / "neu ü.txt"
    old.write_bytes(b"sch\xf6n\r\n")
    first = undo.begin(history, "first")
    assert first.write(old, "schön") and first.write(new, "neu") and not first.write(new, "neu")
    second = undo.begin(history, "second")
    second.write(old, "other")
    second.write(old, "another")
    undo.begin(history, "nothing")
    assert undo.last(history) == "second"
    assert undo.undo(history) == undo.Undone("second", (old,), ())
    assert (old.read_text(encoding="utf-8"), undo.last(history)) == ("schön", "first")
    assert undo.undo(history) == undo.Undone("first", (new, old), ())
    assert old.read_bytes() == b"sch\xf6n\r\n" and not new.exists()
    with pytest.raises(TunerError, match="nothing to undo"):
        undo.undo(history)
    assert undo.last(history) is None and sorted(tmp_path.glob(".*")) == []


def test_what_another_program_changed_stays(tmp_path: Path, history: Path) -> None:
    mine, gone, theirs = (tmp_path / f"{name}.txt" for name in ("mine", "gone", "theirs"))
    step = undo.begin(history, "all")
    for path in (mine, gone, theirs):
        step.write(path, "words")
    theirs.write_text("better words")
    gone.unlink()
    undone = undo.undo(history)
    assert (undone.restored, set(undone.kept)) == ((mine,), {gone, theirs})
    assert theirs.read_text() == "better words" and not mine.exists()


def test_an_action_that_was_cut_off_can_be_undone(tmp_path: Path, history: Path) -> None:
    path = tmp_path / "a.txt"
    step = undo.begin(history, "many")
    step.write(path, "one")
    with step.journal.open("a") as journal:
        journal.write('{"file": "/tmp/b.tx')
    assert undo.undo(history).restored == (path,)


def test_only_so_many_steps_are_kept(tmp_path: Path, history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undo, "MOST_STEPS", 3)
    for number in range(5):
        undo.begin(history, str(number)).write(tmp_path / "a.txt", str(number))
    assert [undo.undo(history).title for _ in range(3)] == ["4", "3", "2"]
    assert undo.last(history) is None


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such rights and few links")
def test_rights_and_links_stay(tmp_path: Path, history: Path) -> None:
    path, link = tmp_path / "a.txt", tmp_path / "link.txt"
    path.write_text("old")
    path.chmod(0o664)
    link.symlink_to(path)
    undo.begin(history, "x").write(link, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777, link.is_symlink()) == ("new", 0o664, True)

"""A journal gives back what was appended, and what a power cut left of it."""

import pytest

from tuner.events import RunFailed, RunStarted, RunStopped, StepDone
from tuner.files import journal

EVENTS = (
    RunStarted(run="cät", phases=("text", "train"), num_steps=3),
    StepDone(step=1, loss=0.5, lr=1e-4, grad_norm=0.1, seconds=1.0),
    RunFailed(message="No.", advice=(("Lower it.", {"optimization.learning_rate": 1e-5}),)),
)


def write(path, events=EVENTS) -> None:
    with journal.open_end(path) as file:
        for event in events:
            journal.append(file, event)


def test_what_was_appended_comes_back(tmp_path):
    path = tmp_path / "events.jsonl"
    write(path, EVENTS[:2])
    write(path, EVENTS[2:])
    assert journal.read(path) == (list(EVENTS), [])
    assert "cät" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_half_written_line_is_told_and_harms_no_other(tmp_path, kept):
    path = tmp_path / "events.jsonl"
    write(path)
    *whole, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole) + last[: kept - 1 if kept < 0 else kept])
    write(path, EVENTS[:1])
    events, warnings = journal.read(path)
    assert events == [*EVENTS[:2], EVENTS[0]]
    assert len(warnings) == 1
    assert "Line 3" in warnings[0].text
    assert warnings[0].time == EVENTS[1].time


def test_a_line_that_only_lost_its_line_break_is_whole(tmp_path):
    path = tmp_path / "events.jsonl"
    write(path)
    path.write_bytes(path.read_bytes()[:-1])
    write(path, EVENTS[:1])
    assert journal.read(path) == ([*EVENTS, EVENTS[0]], [])


@pytest.mark.parametrize(
    "line", [b"\xff\xfe", b"[]", b"1", b"{}", b'{"event": "Nonsense"}', b'{"event": "StepDone"}']
)
def test_any_damaged_line_is_left_out(tmp_path, line):
    path = tmp_path / "events.jsonl"
    write(path)
    with path.open("ab") as file:
        file.write(line + b"\n")
    events, warnings = journal.read(path)
    assert events == list(EVENTS)
    assert len(warnings) == 1


def test_a_brief_reading_leaves_out_all_but_the_last_steps(tmp_path):
    path = tmp_path / "events.jsonl"
    steps = [StepDone(step=n, loss=1, lr=1, grad_norm=1, seconds=1) for n in range(1, 51)]
    said = [RunStarted(run="cat", phases=(), num_steps=50), *steps[:25], RunStopped(step=25), *steps[25:]]
    with journal.open_end(path) as file:
        for event in said:
            journal.append(file, event)
    assert journal.read(path, 10)[0] == [said[0], said[26], *steps[40:]]
    assert journal.read(path, 100)[0] == said
    assert journal.read(path, 0)[0] == [said[0], said[26]]

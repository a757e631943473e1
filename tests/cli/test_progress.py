"""What a run looks like on a terminal and in a log file, and what Ctrl-C does to it."""

import io
import sys
from pathlib import Path

import pytest

from tuner.cli import progress
from tuner.events import (
    CheckpointSaved,
    Event,
    Exported,
    Paused,
    PhaseProgress,
    PhaseSkipped,
    PhaseStarted,
    RunFinished,
    RunStarted,
    StepDone,
    Warned,
)
from tuner.view import RunView, fold, from_events


def step(number: int, seconds: float = 2.0) -> StepDone:
    return StepDone(step=number, loss=0.25, lr=1e-4, grad_norm=0.1, seconds=seconds)


def run(num_steps: int = 300, first_step: int = 0) -> list[Event]:
    phases = ("text", "latents", "train", "export")
    return [
        RunStarted(run="cat", phases=phases, num_steps=num_steps, first_step=first_step, time=1.0),
        PhaseSkipped(name="text", why="all 3 texts are encoded already"),
        PhaseStarted(name="latents", total=8),
        PhaseProgress(name="latents", done=8),
        PhaseStarted(name="train", total=num_steps),
        *(step(number) for number in range(first_step + 1, num_steps + 1)),
        CheckpointSaved(step=num_steps, path="checkpoint-300"),
        Warned(text="Something to know."),
        PhaseStarted(name="export"),
        Exported(dialect="comfyui", path="cat.safetensors", num_tensors=3),
        RunFinished(step=num_steps, path="cat.safetensors"),
    ]


def shown(events: list[Event], display: progress.Display) -> None:
    """As if the page had been looked at after every event."""
    view = RunView()
    for event in events:
        view = fold(view, event)
        display.show(view)
    display.close()


def lines_of(events: list[Event], capsys) -> list[str]:
    shown(events, progress.Lines())
    written = capsys.readouterr()
    assert written.out == ""
    return written.err.splitlines()


def test_plain_lines_tell_each_thing_once_and_in_order(capsys):
    lines = lines_of(run(), capsys)
    assert lines[:3] == [
        "Read the captions: skipped, all 3 texts are encoded already.",
        "Encode the pictures (8)",
        "Train (300)",
    ]
    assert lines[3] == "  step 25 of 300, loss 0.250, 2.00 s a step, 09:10 left"
    assert len([line for line in lines if line.startswith("  step")]) == 12
    assert lines[-4:] == [
        "Saved checkpoint-300",
        "Note: Something to know.",
        "Export for ComfyUI",
        "Exported cat.safetensors",
    ]


def test_a_short_run_gets_a_line_each_tenth(capsys):
    steps = [line for line in lines_of(run(20), capsys) if line.startswith("  step")]
    assert len(steps) == 10
    assert steps[0] == "  step 2 of 20, loss 0.250, 2.00 s a step, 00:36 left"


def test_a_look_that_comes_late_still_tells_everything(capsys):
    display = progress.Lines()
    display.show(from_events(run()))
    lines = capsys.readouterr().err.splitlines()
    assert "Saved checkpoint-300" in lines
    assert "Exported cat.safetensors" in lines
    assert "Train (300)" in lines


def test_a_resumed_run_does_not_tell_its_past_again(capsys):
    past = [*run(10)[:-5], CheckpointSaved(step=10, path="checkpoint-10")]
    again = [RunStarted(run="cat", phases=("train",), num_steps=20, first_step=10, time=2.0)]
    display = progress.Lines()
    display.show(from_events([*past, *again]))
    assert capsys.readouterr().err == ""
    display.show(from_events([*past, *again, *(step(number) for number in range(11, 13))]))
    assert capsys.readouterr().err.startswith("  step 12 of 20")


def test_a_pause_is_told_once(capsys):
    events = [*run()[:6], Paused(step=1), Warned(text="Still paused.")]
    assert lines_of(events, capsys).count("Paused at step 1.") == 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch):
    """To be called inside the test: pytest puts its own stream there before."""

    def open_it() -> Terminal:
        screen = Terminal()
        monkeypatch.setattr(sys, "stderr", screen)
        return screen

    return open_it


def test_bars_are_for_terminals(terminal, monkeypatch):
    terminal()
    assert isinstance(progress.display(), progress.Bars)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(progress.display(), progress.Lines)


def test_bars_show_the_phase_and_what_happened(terminal):
    screen = terminal()
    shown(run(50), progress.Bars())
    text = screen.getvalue()
    assert "Encode the pictures: 100%" in text
    assert "Train: 100%" in text
    assert "50/50" in text
    assert "loss 0.250" in text
    assert text.count("Exported cat.safetensors") == 1
    assert "step 25 of 50" not in text


def test_each_hands_through_what_it_counts(terminal):
    screen = terminal()
    assert list(progress.Bars().each("Exam", iter("abc"), 3)) == ["a", "b", "c"]
    assert "Exam: 100%" in screen.getvalue()
    assert list(progress.Lines().each("Exam", iter("abc"), 3)) == ["a", "b", "c"]
    assert screen.getvalue().endswith("Exam (3)\n")


class InterruptedSession:
    """Runs until it was asked to stop and looked at twice more; Ctrl-C comes at the given looks, 0 first."""

    def __init__(self, *interrupts: int, started: bool = True) -> None:
        self.view, self.plan = RunView(state="running"), None
        self.stopping, self.running = False, False
        self._interrupts, self._looks, self._left, self._started = interrupts, 0, 2, started

    def start(self, config: Path) -> None:
        self.running = self._started
        if 0 in self._interrupts:
            raise KeyboardInterrupt

    def join(self, timeout: float) -> None:
        self._looks += 1
        if self._looks in self._interrupts:
            raise KeyboardInterrupt
        self._left -= self.stopping
        self.running = self._left > 0

    def stop(self) -> None:
        self.stopping = True


@pytest.mark.parametrize("look", [0, 1, 3])
def test_ctrl_c_stops_the_run_and_waits_for_it(look, capsys):
    session = InterruptedSession(look)
    progress.follow(session, Path(), progress.Lines())
    assert session.stopping
    assert not session.running
    assert "checkpoint" in capsys.readouterr().err


def test_a_second_ctrl_c_does_not_wait():
    with pytest.raises(KeyboardInterrupt):
        progress.follow(InterruptedSession(3, 4), Path(), progress.Lines())


def test_ctrl_c_before_the_run_began():
    with pytest.raises(KeyboardInterrupt):
        progress.follow(InterruptedSession(0, started=False), Path(), progress.Lines())

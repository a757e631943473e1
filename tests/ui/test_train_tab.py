"""The live view: what is said in which state, for eyes and screen readers, and how much is sent."""

from __future__ import annotations

import os

import pytest

from tuner.errors import TunerError
from tuner.events import (
    CheckpointSaved,
    Evaluated,
    PhaseStarted,
    RunStarted,
    RunStopped,
    SampleReady,
    StepDone,
    Warned,
)
from tuner.files.run_folder import RunFolder
from tuner.ui import train_tab, wording
from tuner.view import RunView, from_events, interrupted

STARTED = RunStarted(run="cat & <b>", phases=("text", "train"), num_steps=300, trigger="sks")


def steps(number: int) -> list[StepDone]:
    return [StepDone(step=n, loss=1 / n, lr=1e-4, grad_norm=1, seconds=0.5) for n in range(1, number + 1)]


def test_before_the_first_run_it_says_what_to_do() -> None:
    assert wording.NO_RUN in train_tab.progress(RunView(), stopping=False)


def test_a_bar_that_a_screen_reader_understands() -> None:
    view = from_events([STARTED, PhaseStarted(name="train", total=300), *steps(150)])
    shown = train_tab.progress(view, stopping=False)
    assert 'role="progressbar"' in shown and 'aria-valuenow="50"' in shown
    assert 'aria-current="step"' in shown
    assert "step 150 of 300, about 75 s left" in shown
    assert "<b>" not in shown


def test_a_warning_is_shown_and_a_stop_is_said_at_once() -> None:
    view = from_events([STARTED, Warned(text="Slow ${because}.")])
    assert "Slow &#36;&#123;because}." in train_tab.progress(view, stopping=False)
    assert wording.STOPPING in train_tab.progress(view, stopping=True)


def test_a_long_curve_is_thinned() -> None:
    curve = train_tab.curve(from_events([STARTED, *steps(390)]))
    assert len(curve) <= 2 * train_tab.MAX_POINTS
    assert set(curve["line"]) == {"each step", "smoothed"}
    assert train_tab.curve(RunView()) is None
    assert train_tab.curve(from_events([STARTED])).empty


def test_the_loss_of_pictures_that_are_kept_apart_is_a_line_of_its_own() -> None:
    view = from_events([STARTED, *steps(9), *(Evaluated(step=n, loss=0.25) for n in (0, 5))])
    curve = train_tab.curve(view)
    assert curve is not None
    line = curve[curve["line"] == "kept apart"]
    assert (list(line["step"]), list(line["loss"])) == ([0, 5], [0.25, 0.25])
    assert "Loss (kept apart)" in train_tab.progress(view, stopping=False)


def test_samples_are_a_row_a_step_the_baseline_on_top(tmp_path) -> None:
    samples = [
        SampleReady(
            step=step, name=name, prompt=f"a {name}", seed=1, path=str(tmp_path / f"{step}-{name}.png")
        )
        for step in (0, 100, 200)
        for name in ("cat", "dog")
    ]
    shown = train_tab.samples(from_events([STARTED, *samples[:-1]]))
    rows = [shown.index(f'<th scope="row">{title}</th>') for title in (wording.BASELINE, 200, 100)]
    assert rows == sorted(rows)
    assert shown.count("<img") == 5
    assert 'alt="a cat, step 100"' in shown


def test_the_log_is_read_from_its_end(tmp_path) -> None:
    folder = RunFolder(tmp_path)
    assert wording.NO_LOG in train_tab.log(None) == train_tab.log(folder)
    folder.log.write_text("".join(f"line <{n}>\n" for n in range(5000)), encoding="utf-8")
    shown = train_tab.log(folder)
    assert ">line &lt;" in shown and shown.endswith("line &lt;4999&gt;\n</pre>")
    assert shown.count("line") <= train_tab.LOG_BYTES / 10


def test_the_log_is_searched_from_its_start(tmp_path) -> None:
    folder = RunFolder(tmp_path)
    folder.log.write_text("".join(f"line <{n}>\n" for n in range(5000)), encoding="utf-8")
    assert train_tab.log(folder, " LINE <17> ").count("line &lt;") == 1
    assert "line &lt;4999&gt;" in train_tab.log(folder, "  ")
    assert wording.NOT_IN_LOG in train_tab.log(folder, "nowhere")


def test_the_learning_rate_has_the_steps_of_the_loss() -> None:
    view = from_events([STARTED, *steps(390)])
    assert list(train_tab.rates(view)["step"]) == list(train_tab.curve(view)["step"])[:195]
    assert train_tab.rates(RunView()) is None
    assert train_tab.rates(from_events([STARTED])).empty


def test_a_run_that_ended_early_goes_on_with_one_click() -> None:
    stopped = from_events([STARTED, *steps(9), RunStopped(step=9)])
    assert "It begins anew" in train_tab.progress(stopped, stopping=False)
    saved = from_events([STARTED, *steps(9), CheckpointSaved(step=7, path="c"), RunStopped(step=9)])
    shown = train_tab.progress(saved, stopping=False)
    assert 'data-act="continue:cat &amp; &lt;b&gt;"' in shown and "goes on after step 7" in shown
    going = from_events([STARTED, *steps(9)])
    assert "Continue" not in train_tab.progress(going, stopping=False)
    assert "broke off" in train_tab.progress(interrupted(going), stopping=False)


def test_what_the_page_asks_for_is_not_trusted(desk) -> None:
    for word in ("delete:cat", "continue:../etc", "continue"):
        with pytest.raises(TunerError):
            train_tab.press(desk, word)


def test_a_bug_report_tells_of_the_run(finished) -> None:
    said = train_tab.bug_report(finished)["value"]
    assert "Finished in phase 'export', step 6 of 6" in said and "RunFinished" in said
    assert str(finished.session.root) not in said


def test_a_picture_that_was_made_anew_gets_another_address(tmp_path) -> None:
    from tuner.ui import markup

    path = tmp_path / "späce ünï (1).png"
    path.write_bytes(b"one")
    before = markup.file_address(path)
    os.utime(path, ns=(0, 1))
    assert markup.file_address(path) != before
    assert "sp%C3%A4ce%20" in before

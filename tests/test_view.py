"""A view is what its events say, in any order, short however long the run, and the same when rebuilt."""

import json
import random

import pytest

from tuner.events import (
    CheckpointSaved,
    Evaluated,
    Event,
    Exported,
    Paused,
    PhaseProgress,
    PhaseSkipped,
    PhaseStarted,
    Resumed,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStopped,
    SampleReady,
    StepDone,
    Warned,
    from_json,
    to_json,
)
from tuner.view import MAX_POINTS, RunView, fold, from_events, interrupted


def started(num_steps: int = 10, first_step: int = 0, time: float = 1.0) -> RunStarted:
    return RunStarted(
        run="cat",
        phases=("text", "latents", "train"),
        num_steps=num_steps,
        first_step=first_step,
        trigger="sks",
        time=time,
    )


def step(number: int, loss: float = 0.5, seconds: float = 1.0, **values: float) -> StepDone:
    return StepDone(step=number, loss=loss, lr=1e-4, grad_norm=0.1, seconds=seconds, **values)


def whole_run(num_steps: int = 10) -> list[Event]:
    return [
        started(num_steps),
        PhaseStarted(name="text", total=3),
        PhaseProgress(name="text", done=3),
        PhaseSkipped(name="latents", why="all 8 are cached"),
        PhaseStarted(name="train", total=num_steps),
        SampleReady(step=0, name="red", prompt="a sks", seed=1, path="s0.png"),
        Evaluated(step=0, loss=0.7),
        *(step(n) for n in range(1, num_steps + 1)),
        CheckpointSaved(step=num_steps, path="checkpoint-10"),
        Exported(dialect="comfyui", path="cat.safetensors", num_tensors=6),
        RunFinished(step=num_steps, path="cat.safetensors", time=9.0),
    ]


def test_a_whole_run():
    view = from_events(whole_run())
    assert (view.run, view.state, view.trigger) == ("cat", "finished", "sks")
    assert (view.step, view.num_steps) == (10, 10)
    assert {p.name: p.state for p in view.phases} == {"text": "done", "latents": "skipped", "train": "done"}
    assert view.phases[1].why == "all 8 are cached"
    assert view.phases[0].title == "Read the captions"
    assert view.samples[0].path == "s0.png"
    assert view.checkpoints == ((10, "checkpoint-10"),)
    assert view.exports[0].num_tensors == 6
    assert (view.started_at, view.updated_at) == (1.0, 9.0)
    assert view.sequence == len(whole_run())


def test_a_view_rebuilt_from_json_is_the_same():
    events = whole_run()
    assert from_events(from_json(json.loads(json.dumps(to_json(e)))) for e in events) == from_events(events)


def test_a_phase_is_done_when_the_next_one_starts():
    view = from_events([started(), PhaseStarted(name="text", total=3), PhaseStarted(name="train", total=10)])
    assert [p.state for p in view.phases] == ["done", "waiting", "running"]
    assert view.phase == "train"


def test_what_begins_again_lets_what_comes_behind_it_wait():
    view = from_events([started(), PhaseStarted(name="train", total=10), PhaseStarted(name="latents")])
    assert [p.state for p in view.phases] == ["waiting", "running", "waiting"]


def test_the_pace_is_that_of_the_last_steps_and_the_best_is_kept():
    slow_start = [step(1, seconds=60.0), *(step(n, seconds=2.0) for n in range(2, 8))]
    view = from_events([started(100), *slow_start])
    assert (view.pace, view.best_pace) == (None, None)
    view = from_events([started(100), *slow_start, step(8, seconds=90.0)])
    assert (view.pace, view.best_pace) == (2.0, 2.0)
    for n in range(9, 20):
        view = fold(view, step(n, seconds=5.0))
    assert (view.pace, view.best_pace) == (5.0, 2.0)


@pytest.mark.parametrize("num_steps", [MAX_POINTS, MAX_POINTS + 1, 2_500])
def test_the_curve_stays_short_and_even(num_steps):
    view = from_events([started(num_steps), *(step(n) for n in range(1, num_steps + 1))])
    assert MAX_POINTS // 2 <= len(view.curve) <= MAX_POINTS
    gaps = {b.step - a.step for a, b in zip(view.curve, view.curve[1:], strict=False)}
    assert gaps == {view.curve_stride}
    assert num_steps - view.curve[-1].step < view.curve_stride


def test_the_first_step_does_not_count_for_the_remaining_time():
    view = from_events([started(), step(1, seconds=60.0)])
    assert view.eta_seconds is None
    view = from_events([started(), step(1, seconds=60.0), step(2, seconds=2.0), step(3, seconds=4.0)])
    assert view.seconds_per_step == pytest.approx(3.0)
    assert view.eta_seconds == pytest.approx(21.0)


def test_smoothing_is_a_mean_first_and_remembers_fifty_steps_later():
    first = from_events([started(), step(1, loss=1.0), step(2, loss=0.0)])
    assert first.smoothed_loss == pytest.approx(0.5)
    late = from_events([started(1000), *(step(n, loss=0.0) for n in range(1, 500)), step(500, loss=1.0)])
    assert late.smoothed_loss == pytest.approx(1 / 50)


def test_a_resumed_run_keeps_what_was_there_up_to_its_first_step():
    before = [
        started(),
        *(step(n) for n in range(1, 8)),
        CheckpointSaved(step=5, path="checkpoint-5"),
        *(Evaluated(step=n, loss=1 / (n + 1)) for n in (0, 4, 4, 7)),
        SampleReady(step=5, name="red", prompt="", seed=1, path="s5.png"),
        SampleReady(step=7, name="red", prompt="", seed=1, path="s7.png"),
        Warned(text="old"),
        RunFailed(message="The disk is full."),
    ]
    view = from_events([*before, started(first_step=5, time=50.0)])
    assert (view.state, view.step, view.failure, view.warnings) == ("running", 5, None, ())
    assert [p.step for p in view.curve] == [1, 2, 3, 4, 5]
    assert [s.path for s in view.samples] == ["s5.png"]
    assert view.checkpoints == ((5, "checkpoint-5"),)
    assert view.evaluations == ((0, 1.0), (4, 0.2))
    assert view.sequence == len(before) + 1


def test_a_run_from_the_start_forgets_the_one_before():
    view = from_events([*whole_run(), started()])
    assert view.curve == view.samples == view.exports == ()
    assert view.state == "running"


def test_the_same_file_is_listed_once():
    sample = SampleReady(step=5, name="red", prompt="", seed=1, path="s5.png")
    saved = CheckpointSaved(step=5, path="checkpoint-5")
    view = from_events([started(), sample, sample, saved, saved])
    assert (len(view.samples), len(view.checkpoints)) == (1, 1)


def test_pause_resume_stop_and_failure():
    view = from_events([started(), PhaseStarted(name="train", total=10), Paused(step=1)])
    assert view.state == "paused"
    assert fold(view, Resumed(step=1)).state == "running"
    stopped = fold(view, RunStopped(step=4))
    assert (stopped.state, stopped.step, stopped.eta_seconds) == ("stopped", 4, None)
    failed = fold(view, RunFailed(message="No.", advice=(("Do this.", {"a.b": 1}),), unexpected=True))
    assert failed.state == "failed"
    assert failed.failure is not None
    assert failed.failure.advice[0].change == {"a.b": 1}
    assert failed.phase == "train"
    assert failed.phases[-1].state == "waiting"


def test_a_journal_that_breaks_off_is_a_stopped_run():
    cut = interrupted(from_events([started(), step(1)]))
    assert (cut.state, cut.broke_off) == ("stopped", True)
    whole = interrupted(from_events(whole_run()))
    assert (whole.state, whole.broke_off) == ("finished", False)


@pytest.mark.parametrize("seed", range(5))
def test_any_order_is_tolerated(seed):
    events = whole_run()
    random.Random(seed).shuffle(events)
    assert from_events(events).sequence == len(events)


def test_an_unknown_event_counts_and_changes_nothing_else():
    class Odd(Event):
        pass

    view = fold(RunView(), Odd(time=3.0))
    assert view == RunView(sequence=1, updated_at=3.0)

"""What the watchdog says, from made gauges: each row in its own words, and nothing where all is well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tuner import machine
from tuner.events import PhaseStarted, RunStarted, StepDone
from tuner.machine import Reading
from tuner.ui import watchdog
from tuner.ui.watchdog import Moment, Watchdog, sentences, silence
from tuner.view import RunView, from_events

NOW = 1000.0
BARE = Reading(ram_used_gb=20, ram_total_gb=32, process_gb=9, disk_free_gb=80)
CARD = replace(
    BARE,
    vram_used_gb=18.0,
    vram_total_gb=24.0,
    gpu_name="RTX 3090",
    gpu_temperature=70.0,
    gpu_power=320.0,
    gpu_power_limit=350.0,
    gpu_load=98.0,
    gpu_clock=1800.0,
)


def run(seconds: list[float], at: float = NOW - 1, peak: float = 18.0) -> RunView:
    """In the middle of training, after steps of so many seconds; the last event was at `at`."""
    steps = [
        StepDone(step=n, loss=1, lr=1, grad_norm=1, seconds=s, peak_vram_gb=peak, time=at)
        for n, s in enumerate(seconds, start=1)
    ]
    started = RunStarted(run="cat", phases=("load", "train"), num_steps=100, time=at)
    return from_events([started, PhaseStarted(name="train", total=100, time=at), *steps])


def looked(reading: Reading, num: int = 10, phase: str = "train", until: float = NOW) -> list[Moment]:
    """A reading every three seconds."""
    return [Moment(until - 3 * n, reading, phase) for n in reversed(range(num))]


STEADY = run([9.0] + [2.0] * 20)

TROUBLES = {
    "no sign of life": (run([9.0] + [2.0] * 20, at=NOW - 200), CARD, "No sign of life for 3 min"),
    "spilled into shared memory": (
        run([9.0] + [2.0] * 10 + [6.0] * 10, peak=25.9),
        replace(CARD, vram_used_gb=23.8),
        "6 s instead of 2 s: the card's memory is full. 1.9 GB have spilled",
    ),
    "busy without power": (STEADY, replace(CARD, gpu_power=70.0), "only 70 of 350 W"),
    "idle card": (STEADY, replace(CARD, gpu_load=3.0, gpu_power=40.0), "nothing to do"),
    "held back": (STEADY, replace(CARD, gpu_slowed="heat", gpu_temperature=88.0), "because of heat (88 °C)"),
    "memory runs out": (STEADY, replace(CARD, ram_used_gb=31.5), "almost full; FluxTuner has 9.0 GB"),
}


def test_every_row_has_its_trouble() -> None:
    """That of the fallen clock has two parts: see below."""
    assert {row.name for row in watchdog.ROWS} == {*TROUBLES, "fallen clock"}


@pytest.mark.parametrize("name", TROUBLES)
def test_each_row_speaks_alone_and_in_its_own_words(name) -> None:
    view, reading, words = TROUBLES[name]
    (said,) = sentences(view, looked(reading), NOW)
    assert words in said and said.endswith((".", "?"))


def test_a_clock_is_judged_by_the_best_of_this_run() -> None:
    before, after = looked(CARD, until=NOW - 60), looked(replace(CARD, gpu_clock=1100.0))
    (said,) = sentences(STEADY, [*before, *after], NOW)
    assert "from 1800 to 1100 MHz" in said
    assert sentences(STEADY, after, NOW) == ()


def test_a_page_file_that_grows_is_told() -> None:
    paging = replace(CARD, page_file_used_gb=3.5)
    (said,) = sentences(STEADY, [*looked(CARD, until=NOW - 60), *looked(paging)], NOW)
    assert "3.5 GB went into the page file" in said


def test_where_all_is_well_nothing_is_said() -> None:
    assert sentences(STEADY, looked(CARD), NOW) == ()
    assert sentences(STEADY, [], NOW) == ()
    assert sentences(RunView(), looked(CARD), NOW) == ()


@pytest.mark.parametrize("phase", ["load", "latents", ""])
def test_a_card_may_rest_where_no_steps_are_made(phase) -> None:
    assert sentences(STEADY, looked(replace(CARD, gpu_load=0.0), phase=phase), NOW) == ()


def test_one_look_is_not_enough() -> None:
    assert sentences(STEADY, looked(replace(CARD, gpu_load=0.0), num=2), NOW) == ()


def test_without_a_card_only_silence_is_told() -> None:
    full = replace(BARE, ram_used_gb=31.9, page_file_used_gb=9)
    assert sentences(STEADY, looked(full), NOW) == ()
    (said,) = sentences(run([9.0] + [2.0] * 20, at=NOW - 200), looked(full), NOW)
    assert "a step usually takes 2 s" in said


def test_slow_steps_may_be_silent_for_longer_and_so_may_the_first_one() -> None:
    slow = run([60.0] + [20.0] * 20, at=NOW - 300)
    assert sentences(slow, looked(CARD), NOW) == ()
    assert sentences(replace(slow, updated_at=NOW - 700), looked(CARD), NOW)
    assert sentences(run([], at=NOW - 300), looked(CARD), NOW) == ()


def test_a_pause_is_no_silence() -> None:
    assert silence(replace(STEADY, state="paused"), NOW + 500) is None
    assert silence(STEADY, NOW + 4) == 5.0


def test_however_many_tabs_look_the_gauges_are_read_once_a_second(monkeypatch, tmp_path) -> None:
    read = []
    monkeypatch.setattr(machine, "read", lambda folder: read.append(folder) or CARD)
    dog = Watchdog(tmp_path)
    for tenth in range(30):
        assert dog.look(STEADY, NOW + tenth / 10) is CARD
    assert len(read) == 3
    dog.look(STEADY, NOW + 2 * watchdog.KEPT_SECONDS)
    assert len(dog._moments) == 1
    assert dog.says(STEADY, NOW) == ()

"""Each schedule does what its name says."""

from __future__ import annotations

import math

import pytest

from tuner.optimizers.schedules import SCHEDULES, Schedule, lr_at, names

BASE, END, WARMUP, TOTAL = 1e-3, 1e-5, 10, 110


def rates(name: str, warmup: int = WARMUP, **more: float) -> list[float]:
    """The rates of steps 1..TOTAL."""
    schedule = Schedule(name, BASE, END, warmup, TOTAL, **more)  # type: ignore[arg-type]
    return [lr_at(schedule, step) for step in range(1, TOTAL + 1)]


@pytest.mark.parametrize("name", names())
def test_the_warm_up_is_a_straight_rise_without_a_lost_first_step(name: str) -> None:
    curve = rates(name)
    assert curve[:WARMUP] == [pytest.approx(BASE * step / WARMUP) for step in range(1, WARMUP + 1)]
    assert all(END * 0.999 <= rate <= BASE * 1.001 for rate in curve[WARMUP:])


@pytest.mark.parametrize("name", names())
def test_no_jump_after_the_warm_up(name: str) -> None:
    assert rates(name)[WARMUP] == pytest.approx(BASE, rel=0.02)


@pytest.mark.parametrize("name", ["constant", "constant_with_warmup"])
def test_constant(name: str) -> None:
    assert rates(name)[WARMUP:] == [BASE] * (TOTAL - WARMUP)
    assert rates(name, warmup=0) == [BASE] * TOTAL


@pytest.mark.parametrize("name", ["linear", "cosine", "polynomial"])
def test_falling_schedules_fall_all_the_way_to_the_end(name: str) -> None:
    curve = rates(name)[WARMUP:]
    assert curve == sorted(curve, reverse=True)
    assert curve[-1] == pytest.approx(END)
    assert lr_at(Schedule(name, BASE, END, WARMUP, TOTAL), TOTAL + 50) == pytest.approx(END)


@pytest.mark.parametrize(
    ("name", "height"), [("linear", 0.75), ("cosine", 0.5 + math.sqrt(0.125)), ("polynomial", 0.75**0.8)]
)
def test_a_quarter_of_the_way(name: str, height: float) -> None:
    assert rates(name)[WARMUP + 24] == pytest.approx(END + (BASE - END) * height)


def test_polynomial_of_power_one_is_linear() -> None:
    assert rates("polynomial", power=1.0) == pytest.approx(rates("linear"))


def test_restarts_begin_anew() -> None:
    curve = rates("cosine_with_restarts", cycles=4)[WARMUP:]
    jumps = [step for step in range(1, len(curve)) if curve[step] > curve[step - 1]]
    assert jumps == [24, 49, 74]  # after 25, 50 and 75 of 100 steps the rate is the full one again
    assert all(curve[step] == pytest.approx(BASE) for step in jumps)
    assert curve[-1] == pytest.approx(END)


def test_one_restart_cycle_is_a_cosine() -> None:
    assert rates("cosine_with_restarts", cycles=1) == pytest.approx(rates("cosine"))


def test_sine_swings_down_and_back() -> None:
    curve = rates("sine", cycles=2)[WARMUP:]
    assert [curve[step - 1] for step in (25, 50, 75, 100)] == pytest.approx([END, BASE, END, BASE])


def test_a_run_that_is_all_warm_up() -> None:
    schedule = Schedule("cosine", BASE, END, warmup=100, total=50)
    assert lr_at(schedule, 50) == pytest.approx(BASE / 2)


def test_an_unknown_name() -> None:
    with pytest.raises(KeyError):
        lr_at(Schedule("zigzag", BASE), 1)


def test_rows_advise() -> None:
    assert all(row.advice.endswith(".") for row in SCHEDULES)

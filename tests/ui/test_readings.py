"""Gauges and the status strip of the sidebar."""

from __future__ import annotations

from tuner.events import PhaseStarted, RunFinished, RunStarted, StepDone
from tuner.machine import Reading
from tuner.ui import readings, wording
from tuner.view import RunView, from_events

BARE = Reading(ram_used_gb=4, ram_total_gb=16, process_gb=1, disk_free_gb=81.4)


def test_without_a_card() -> None:
    shown = readings.gauges(BARE)
    assert wording.NO_CARD in shown and "VRAM" not in shown
    assert "4.0 of 16 GB" in shown and 'aria-valuenow="25"' in shown
    assert "81 GB of disk free" in shown


def test_with_a_card() -> None:
    card = {
        "vram_used_gb": 6.0,
        "vram_total_gb": 24.0,
        "gpu_name": "RTX <3090>",
        "gpu_temperature": 61.0,
        "gpu_power": 280.0,
    }
    shown = readings.gauges(Reading(**{**BARE.__dict__, **card}))
    assert "RTX &lt;3090&gt;" in shown and "6.0 of 24 GB" in shown
    assert "61 °C" in shown and "280 W" in shown


def test_the_strip_of_a_run() -> None:
    steps = [StepDone(step=n, loss=1, lr=1e-4, grad_norm=1, seconds=2) for n in (1, 2)]
    view = from_events(
        [RunStarted(run="cat", phases=("train",), num_steps=100), PhaseStarted(name="train"), *steps]
    )
    shown = readings.strip(view)
    assert "cat" in shown and "Running" in shown and "Step 2 of 100, about 3 min left" in shown
    assert "No run" in readings.strip(RunView())


def test_the_strip_tells_the_browser_of_an_end() -> None:
    ended = from_events([RunStarted(run='a"b', phases=(), num_steps=4), RunFinished(step=4, path="", time=7)])
    shown = readings.strip(ended)
    assert 'data-run="a&quot;b" data-state="finished" data-at="7" data-percent="100"' in shown


def test_the_heartbeat_and_the_yellow_strip() -> None:
    going = from_events([RunStarted(run="cat", phases=("train",), num_steps=100, time=100.0)])
    assert "Last sign of life 4 s ago." in readings.heartbeat(going, 104.0)
    assert readings.heartbeat(RunView(), 104.0) == readings.warning([]) == ""
    assert "<p>Too hot &amp; slow.</p>" in readings.warning(["Too hot & slow."])

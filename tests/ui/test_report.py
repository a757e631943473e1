"""A bug report says what is needed to find a bug, and nothing about who found it."""

from __future__ import annotations

import os
import socket
import sys

from tuner.errors import Unexpected
from tuner.events import RunFailed, RunStarted, StepDone, Warned
from tuner.machine import Reading
from tuner.ui import report
from tuner.view import RunView, from_events

HERE = Reading(ram_used_gb=4, ram_total_gb=16, process_gb=1, disk_free_gb=81.4)
CARD = {"vram_used_gb": 20.0, "vram_total_gb": 24.0, "gpu_name": "RTX 3090", "gpu_driver": "580.65"}


def test_program_computer_run_and_log() -> None:
    view = from_events(
        [
            RunStarted(run="cat", phases=("train",), num_steps=9),
            StepDone(step=1, loss=1, lr=1, grad_norm=1, seconds=2, peak_vram_gb=19.5),
            Warned(text="Something was odd."),
            RunFailed(message="The card went away."),
        ]
    )
    told = report.text(view, Reading(**{**HERE.__dict__, **CARD}), "last words\n")
    for words in (
        "FluxTuner",
        "torch 2.",
        "RTX 3090, driver 580.65",
        "20.0 of 24.0 GB VRAM",
        "Failed in phase '', step 1 of 9",
        "peak 19.5 GB",
        "Warning: Something was odd.",
        "Failure: The card went away.",
        "last words",
    ):
        assert words in told, words
    assert "No run" in report.text(RunView(), HERE, "")


def test_nothing_private_is_in_it(monkeypatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "annas-tower")
    monkeypatch.setenv("USER", "anna")
    report.without_private.__globals__["_names"].cache_clear()
    log = f"""SampleReady step=5 path=/home/anna/My Pictures/a.png seed=3
opened 'C:\\Users\\Anna\\fluß\\x.png' for anna on annas-tower
token hf_abcdefghijklmnop
  File "{report.HOME / "tuner" / "session.py"}", line 3, in start
  File "{os.path.join(sys.prefix, "lib", "torch", "nn.py")}", line 7, in forward
loss=0.25 and/or 3/4"""
    told = report.text(RunView(), HERE, log)
    report.without_private.__globals__["_names"].cache_clear()
    for words in ("anna", "Anna", "Pictures", "hf_", "fluß", str(report.HOME)):
        assert words not in told, words
    for words in (
        "step=5 path=… seed=3",
        'File "FluxTuner/tuner/session.py", line 3',
        "torch/nn.py",
        "loss=0.25 and/or 3/4",
    ):
        assert words in told, words


def test_an_unforeseen_error_stays_readable() -> None:
    failed = RunFailed(
        message=str(Unexpected("Something unforeseen happened (KeyError: 'x').")), unexpected=True
    )
    view = from_events([RunStarted(run="cat", phases=(), num_steps=1), failed])
    assert "KeyError: 'x'" in report.text(view, HERE, "")

"""The layers that the doctor tries are really computed, and a wrong or broken one is told."""

import subprocess
from types import SimpleNamespace

import pytest

from tuner.quantization import trial, tried


def test_both_layers_work_here() -> None:
    assert [one["problem"] for one in trial.main()] == ["", ""]


def test_a_layer_that_computes_wrong_or_not_at_all_is_a_finding(monkeypatch) -> None:
    def missing(*_):
        raise ModuleNotFoundError(name="bitsandbytes")

    monkeypatch.setattr(trial, "TRIED", {"int8-quanto": 1e-9})
    assert "wrong by" in trial.main()[0]["problem"]
    monkeypatch.setattr(
        trial, "_errors", lambda *_: (_ for _ in ()).throw(ModuleNotFoundError(name="bitsandbytes"))
    )
    assert "not installed" in trial.main()[0]["problem"]


RIGHT = '[{"name": "nf4-bnb", "where": "the card", "problem": ""}]'


@pytest.mark.parametrize(
    ("code", "out", "error", "state", "words"),
    [
        (0, f"noise\n{RIGHT}", "", "ok", "the card"),
        (0, RIGHT.replace(': ""', ': "no."'), "", "bad", "no."),
        (-11, "", "a\nSegmentation fault", "bad", "Segmentation"),
    ],
)
def test_what_the_doctor_says(monkeypatch, code, out, error, state, words) -> None:
    answer = SimpleNamespace(returncode=code, stdout=out, stderr=error)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    found = tried.findings()
    assert [one.state for one in found] == [state]
    assert words in found[0].sentence


def test_a_trial_that_hangs_is_told(monkeypatch) -> None:
    def hang(*_, **__):
        raise subprocess.TimeoutExpired("trial", 1)

    monkeypatch.setattr(subprocess, "run", hang)
    assert "hangs" in tried.findings()[0].sentence

"""What is chosen among the results stays with the run, each choice beside the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuner.errors import TunerError
from tuner.files import choice
from tuner.files.run_folder import RunFolder


def test_nothing_is_chosen_at_first(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert (choice.strength(run), choice.step(run), choice.mean(run)) == (None, None, False)


def test_each_choice_stands_beside_the_others(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    choice.choose_strength(run, 0.85)
    choice.choose_step(run, 300)
    choice.choose_mean(run, True)
    assert (choice.strength(run), choice.step(run), choice.mean(run)) == (0.85, 300, True)
    choice.choose_step(run, None)
    assert (choice.strength(run), choice.step(run), choice.mean(run)) == (0.85, None, True)


@pytest.mark.parametrize("value", [-2.5, 4.5, float("nan")])
def test_a_strength_out_of_all_reason_is_refused(value: float, tmp_path: Path) -> None:
    with pytest.raises(TunerError, match="lies between -2 and 4"):
        choice.choose_strength(RunFolder(tmp_path), value)


def test_a_damaged_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "choice.json").write_text("{")
    with pytest.raises(TunerError):
        choice.step(RunFolder(tmp_path))

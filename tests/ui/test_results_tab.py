"""Before and after side by side, and the file to use."""

from __future__ import annotations

from pathlib import Path

from tuner.ui import results_tab, wording


def test_the_newest_sample_beside_the_baseline(finished) -> None:
    view = finished.view
    name = view.samples[0].name
    before, after = results_tab.pair(view, name, results_tab.NEWEST)
    assert Path(before).name == f"step_0_{name}.png"
    assert Path(after).name == f"step_6_{name}.png"
    assert Path(results_tab.pair(view, name, "3")[1]).name == f"step_3_{name}.png"


def test_no_pair_while_something_is_missing(finished) -> None:
    for prompt, step in (("nobody", "3"), (finished.view.samples[0].name, "4"), (None, None)):
        assert results_tab.pair(finished.view, prompt, step) is None


def test_the_file_of_a_finished_run_is_offered(finished) -> None:
    *_, export, exported, download = results_tab.show(finished, None, None)
    assert all(word in exported for word in (wording.EXPORTED, "practice-000006.safetensors", "sks"))
    assert download["visible"] and Path(download["value"]).is_file()
    assert export["interactive"]


def test_what_the_user_looks_at_stays(finished) -> None:
    last = finished.view.samples[-1].name
    _, prompt, step, *_ = results_tab.show(finished, last, "3")
    assert (prompt["value"], step["value"]) == (last, "3")
    assert results_tab.show(finished, "gone", "77")[2]["value"] == results_tab.NEWEST


def test_before_the_first_checkpoint_there_is_nothing_to_export(desk) -> None:
    shown = results_tab.show(desk, None, None)
    assert wording.NO_CHECKPOINT in shown[5]
    assert not shown[4]["interactive"] and not shown[6]["visible"]

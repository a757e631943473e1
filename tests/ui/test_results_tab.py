"""Before and after side by side, and the file to use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tuner.export.check import Verdict
from tuner.export.comfyui import Install
from tuner.export.write import ExportReport
from tuner.training.sending import Sent
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
    shown = results_tab.ResultsTab(*results_tab.show(finished, None, None))
    assert all(word in shown.exported for word in (wording.EXPORTED, "practice-000006.safetensors", "sks"))
    assert shown.download["visible"] and Path(shown.download["value"]).is_file()
    assert shown.export["interactive"] and shown.compare["interactive"]


def test_what_the_user_looks_at_stays(finished) -> None:
    last = finished.view.samples[-1].name
    _, prompt, step, *_ = results_tab.show(finished, last, "3")
    assert (prompt["value"], step["value"]) == (last, "3")
    assert results_tab.show(finished, "gone", "77")[2]["value"] == results_tab.NEWEST


def test_before_the_first_checkpoint_there_is_nothing_to_export(desk) -> None:
    shown = results_tab.show(desk, None, None)
    assert wording.NO_CHECKPOINT in shown[5]
    assert not shown[4]["interactive"] and not shown[6]["visible"]


def sent(finished, install: Install | None) -> Sent:
    file = results_tab.newest_export(finished.folder)
    report = ExportReport(file, "comfyui", 3, Verdict(3, 1, 1, False))
    lora = install.loras / file.name if install else None
    return Sent(report, file.with_suffix(".json"), None, install, lora, file.name, ("Use it at 1.0 only.",))


def test_what_was_sent_says_where_it_lies_and_what_comes_next(finished, tmp_path) -> None:
    finished.sent = sent(finished, Install("ComfyUI portable", tmp_path, tmp_path / "loras"))
    card = results_tab.ResultsTab(*results_tab.show(finished, None, None)).exported
    said = ("3 of 3 tensors will load", "ComfyUI portable", str(tmp_path / "loras"), "sidebar", "1.0 only")
    assert all(words in card for words in said)


def test_without_a_comfyui_the_card_says_where_to_put_it(finished) -> None:
    finished.sent = sent(finished, None)
    card = results_tab.ResultsTab(*results_tab.show(finished, None, None)).exported
    assert "3 of 3 tensors will load" in card and "models/loras" in card and "Sent to" not in card


def test_the_chosen_strength_stays_with_the_run(finished) -> None:
    assert results_tab.ResultsTab(*results_tab.show(finished, None, None)).strength["value"] == 1.0
    finished.choose_strength(0.85)
    assert results_tab.ResultsTab(*results_tab.show(finished, None, None)).strength["value"] == 0.85


def test_what_comfyui_drew_stands_beside_ours(finished, tmp_path) -> None:
    ours, theirs = tmp_path / "a.png", tmp_path / "b.png"
    made = sent(finished, Install("ComfyUI", tmp_path, tmp_path / "loras"))
    finished.sent = replace(made, picture=ours, drawn=theirs)
    card = results_tab.ResultsTab(*results_tab.show(finished, None, None)).exported
    assert card.index("a.png") < card.index("b.png") and wording.THEIRS in card


def test_a_sample_of_the_untrained_model_is_not_asked_for(finished, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(finished.session, "send", lambda *given, **named: asked.append((given, named)))
    finished.send(" ", "nobody", True)
    finished.send("/comfy", finished.view.samples[0].name)
    (_, first), (second, named) = asked
    assert first == {"sample": None, "draw": True}
    assert second[1] == Path("/comfy") and named["sample"] == finished.view.samples[0].name

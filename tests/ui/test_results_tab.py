"""Before and after side by side, the step that was chosen, and the file to use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tuner.errors import RunMissing, TunerError
from tuner.export.check import Verdict
from tuner.export.comfyui import Install
from tuner.export.write import ExportReport
from tuner.files import choice
from tuner.files.run_folder import EMA_ADAPTER_FILE
from tuner.training.export_preview import ExportPreview
from tuner.training.sending import Sent
from tuner.ui import outcome, results_tab, wording
from tuner.ui.results_tab import ResultsTab


def shown(desk, prompt: str | None = None, step: str | None = None) -> ResultsTab:
    return ResultsTab(*results_tab.show(desk, prompt, step))


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
    tab = shown(finished)
    assert all(word in tab.card for word in (wording.EXPORTED, "practice-000006.safetensors", "sks"))
    assert tab.download["visible"] and Path(tab.download["value"]).is_file()
    assert not tab.workflow["visible"] and not tab.picture["visible"]
    for button in (tab.send, tab.compare, tab.preview, tab.trying, tab.choose):
        assert button["interactive"]


def test_what_the_user_looks_at_stays(finished) -> None:
    last = finished.view.samples[-1].name
    tab = shown(finished, last, "3")
    assert (tab.prompt["value"], tab.step["value"]) == (last, "3")
    assert shown(finished, "gone", "77").step["value"] == results_tab.NEWEST


def test_before_the_first_checkpoint_there_is_nothing_to_export(desk) -> None:
    tab = shown(desk)
    assert wording.NO_CHECKPOINT in tab.card and tab.sheet == ""
    assert not tab.send["interactive"] and not tab.download["visible"] and not tab.choose["interactive"]


def test_the_card_says_beforehand_what_will_be_made(finished, tmp_path) -> None:
    for file in finished.folder.exports.iterdir():
        file.unlink()
    card = shown(finished, finished.view.samples[0].name).card
    for words in ("step 6, the newest", "Goes to", wording.OWN_FOLDER, wording.HEADER, "usage_hint"):
        assert words in card, words
    assert wording.EXPORTED not in card and f"step_6_{finished.view.samples[0].name}.png" in card


def sent(finished, install: Install | None) -> Sent:
    file = outcome.newest_export(finished.folder)
    report = ExportReport(file, "comfyui", 3, Verdict(3, 1, 1, False))
    lora = install.loras / file.name if install else None
    return Sent(report, file.with_suffix(".json"), None, install, lora, file.name, ("Use it at 1.0 only.",))


def test_what_was_sent_says_where_it_lies_and_what_comes_next(finished, tmp_path) -> None:
    finished.sent = sent(finished, Install("ComfyUI portable", tmp_path, tmp_path / "loras"))
    card = shown(finished).card
    said = ("3 of 3 tensors will load", "ComfyUI portable", str(tmp_path / "loras"), "sidebar", "1.0 only")
    assert all(words in card for words in said)


def test_without_a_comfyui_the_card_says_where_to_put_it(finished) -> None:
    finished.sent = sent(finished, None)
    card = shown(finished).card
    assert "3 of 3 tensors will load" in card and "models/loras" in card and "Sent to" not in card


def test_the_chosen_strength_stays_with_the_run(finished) -> None:
    assert shown(finished).strength["value"] == 1.0
    outcome.choose_strength(finished, 0.85)
    assert shown(finished).strength["value"] == 0.85


def test_what_comfyui_drew_stands_beside_ours(finished, tmp_path) -> None:
    ours, theirs = tmp_path / "a.png", tmp_path / "b.png"
    made = sent(finished, Install("ComfyUI", tmp_path, tmp_path / "loras"))
    finished.sent = replace(made, picture=ours, drawn=theirs)
    card = shown(finished).card
    assert card.index("a.png") < card.index("b.png") and wording.THEIRS in card


def test_what_the_file_draws_stands_beside_what_training_drew(finished, tmp_path) -> None:
    file = outcome.newest_export(finished.folder)
    made = ExportPreview(file, tmp_path / "a.png", tmp_path / "b.png", 0.1, "no_change", "int8-quanto")
    finished.compared = made
    card = shown(finished).card
    assert card.index("a.png") < card.index("b.png") and "differ by 10.0%" in card
    finished.compared = replace(made, file=tmp_path / "older.safetensors")
    assert "differ by" not in shown(finished).card


def test_a_damaged_file_is_said_and_the_page_goes_on(finished) -> None:
    outcome.newest_export(finished.folder).write_bytes(b"half a file")
    assert "sentence bad" in shown(finished).card


def test_a_picture_of_the_sheet_is_looked_at(finished) -> None:
    names = list(wording.titles(finished.view.samples))
    prompt, step, choose, slider, sheet = results_tab.pick(finished, "look:3:1")
    assert (prompt, step) == (names[1], "3")
    assert Path(slider[1]).name == f"step_3_{names[1]}.png" and choose["interactive"]
    assert sheet.count('aria-pressed="true"') == 1
    assert results_tab.pick(finished, "look:0:0")[1] == results_tab.NEWEST


def test_every_sample_stands_in_the_sheet_with_the_untrained_on_top(finished) -> None:
    sheet = results_tab.contact_sheet(finished, None, 6)
    assert sheet.count('data-act="look:') == len(finished.view.samples)
    assert sheet.index("look:0:0") < sheet.index("look:6:0") < sheet.index("look:3:0")
    assert sheet.count(wording.NOT_KEPT) == 1, "step 3 has a sample and no checkpoint"


def test_the_chosen_step_is_what_is_exported(finished, monkeypatch) -> None:
    with pytest.raises(RunMissing, match="step 3 is not kept, so it cannot be exported. Kept are: 6"):
        outcome.choose_step(finished, 3)
    older = finished.folder.checkpoint(3)
    finished.folder.checkpoint(6).rename(older)
    outcome.choose_step(finished, 3)
    assert choice.step(finished.folder) == 3 and outcome.checkpoint(finished) == older
    tab = shown(finished, None, "3")
    assert tab.choose["value"] == wording.NOT_THIS_ONE and wording.CHOSEN in tab.sheet
    assert "step 3, chosen" in tab.card
    older.rename(finished.folder.checkpoint(6))
    assert "step 3, which you chose, is gone" in shown(finished).card
    outcome.choose_step(finished, 3)
    assert choice.step(finished.folder) is None and shown(finished).send["interactive"]


def test_the_running_mean_is_offered_where_there_is_one(finished) -> None:
    assert not shown(finished).mean["visible"]
    mean = finished.folder.checkpoint(6) / EMA_ADAPTER_FILE
    mean.parent.mkdir()
    mean.touch()
    outcome.choose_mean(finished, True)
    tab = shown(finished)
    assert tab.mean["visible"] and tab.mean["value"]


def test_a_sample_of_the_untrained_model_is_not_asked_for(finished, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(finished.session, "send", lambda *given, **named: asked.append((given, named)))
    outcome.send(finished, " ", "nobody", True)
    outcome.send(finished, "/comfy", finished.view.samples[0].name)
    (_, first), (second, named) = asked
    assert first == {"sample": None, "draw": True}
    assert second[1] == Path("/comfy") and named["sample"] == finished.view.samples[0].name


def test_a_prompt_is_tried_with_the_chosen_strength(finished, monkeypatch, tmp_path) -> None:
    asked = []

    def drawn(run, request):
        asked.append(request)
        return tmp_path / "try.png"

    monkeypatch.setattr(finished.session, "try_prompt", drawn)
    outcome.choose_strength(finished, 0.6)
    before = finished.pictures_stamp
    outcome.try_prompt(finished, " sks on the moon ")
    assert (asked[0].prompt, asked[0].strength) == ("sks on the moon", 0.6)
    assert "try.png" in shown(finished).tried and finished.pictures_stamp != before
    with pytest.raises(TunerError, match="nothing to draw"):
        outcome.try_prompt(finished, " ")


def test_nothing_is_drawn_while_a_run_goes_on(desk) -> None:
    desk.start()
    tab = shown(desk)
    assert not tab.trying["interactive"] and not tab.compare["interactive"] and not tab.preview["interactive"]

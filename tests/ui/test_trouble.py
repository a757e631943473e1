"""Errors become a sentence with buttons; the page stays."""

from __future__ import annotations

import gradio as gr

from tuner.errors import Advice, TunerError
from tuner.ui import wording
from tuner.ui.trouble import card, guarded


def test_all_is_well(desk) -> None:
    assert card(desk) == ""


def test_a_sentence_with_a_button_for_each_change(desk) -> None:
    desk.report(
        TunerError("It <failed>.", Advice("Wait."), Advice("Slower.", {"optimization.learning_rate": 1e-5}))
    )
    shown = card(desk)
    assert 'role="alert"' in shown and "It &lt;failed&gt;." in shown
    assert "apply:0" not in shown and 'data-act="apply:1"' in shown
    assert "Apply: Learning rate = 1e-05" in shown
    desk.settle()
    assert card(desk) == ""


def test_an_error_leaves_the_page_as_it_is(desk) -> None:
    def deed(value: int) -> int:
        raise TunerError(f"Not {value}.")

    assert guarded(desk, deed)(7) == gr.skip()
    assert "Not 7." in card(desk)
    assert guarded(desk, lambda value: value + 1)(1) == 2


def test_a_defect_is_said_without_a_traceback(desk, caplog) -> None:
    assert guarded(desk, lambda: 1 // 0)() == gr.skip()
    assert "ZeroDivisionError" in card(desk) and wording.LOGGED in card(desk)
    assert "Traceback" not in card(desk)
    assert "ZeroDivisionError" in caplog.text

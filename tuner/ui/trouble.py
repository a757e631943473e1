"""The failure card: what went wrong in one sentence, and the buttons that carry out the advice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from tuner.errors import Advice, Unexpected, told
from tuner.settings.run import dataset_specs, specs
from tuner.settings.values import shown
from tuner.ui import markup, wording
from tuner.ui.desk import Desk


def card(desk: Desk) -> str:
    """The trouble there is, as HTML; empty where all is well."""
    trouble = desk.shown_trouble
    if trouble is None:
        return ""
    hint = f"<p>{wording.LOGGED}</p>" if isinstance(trouble, Unexpected) else ""
    advice = "".join(_advice(number, one) for number, one in enumerate(desk.advice))
    return (
        f'<div class="trouble" role="alert"><p class="what">{markup.text(trouble.message)}</p>{hint}'
        f"<ul>{advice}</ul>{markup.button('dismiss', 'Close')}</div>"
    )


def _advice(number: int, one: Advice) -> str:
    if not one.change:
        return f"<li>{markup.text(one.text)}</li>"
    changes = ", ".join(f"{_label(path)} = {shown(value)}" for path, value in one.change.items())
    return (
        f"<li>{markup.text(one.text)} {markup.button(f'apply:{number}', f'Apply: {changes}', 'primary')}</li>"
    )


def _label(path: str) -> str:
    """The words for a dotted path: its setting's label, or the key itself."""
    owner, _, name = path.rpartition(".")
    known = dataset_specs() if owner.startswith("datasets.") else specs()
    return next((spec.label for spec in known if spec.name == name), name)


def guarded(desk: Desk, deed: Callable[..., Any]) -> Callable[..., Any]:
    """`deed` with an error that becomes the failure card; the rest of the page then stays as it is."""

    def run(*values: Any) -> Any:
        with told(desk.report):
            return deed(*values)
        return gr.skip()

    return run

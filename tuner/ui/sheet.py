"""The contact sheet of a run: a row per step, a column per prompt, the untrained model on top."""

from __future__ import annotations

from collections.abc import Callable

from tuner.ui import markup, wording
from tuner.view import RunView, Sample

MAX_ROWS = 40


def sheet(
    view: RunView, cell: Callable[[Sample], str], head: Callable[[int], str] = str, caption: str = "Samples"
) -> str:
    """Below the untrained model the newest first. `cell` and `head` make HTML of a sample and of a step."""
    titles = wording.titles(view.samples)
    steps = sorted({sample.step for sample in view.samples}, reverse=True)
    rows = [step for step in steps if step == 0] + [step for step in steps if step][:MAX_ROWS]
    found = {(sample.step, sample.name): sample for sample in view.samples}
    top = "".join(f'<th scope="col">{markup.text(title)}</th>' for title in titles.values())
    body = "".join(
        _row(
            wording.BASELINE if step == 0 else head(step), [found.get((step, name)) for name in titles], cell
        )
        for step in rows
    )
    return (
        f'<div class="scroll"><table class="sheet"><caption>{markup.text(caption)}</caption>'
        f'<thead><tr><th scope="col">Step</th>{top}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _row(title: str, row: list[Sample | None], cell: Callable[[Sample], str]) -> str:
    cells = "".join(f"<td>{cell(one) if one else ''}</td>" for one in row)
    return f'<tr><th scope="row">{title}</th>{cells}</tr>'

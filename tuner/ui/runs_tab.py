"""What was trained before: every run below `runs`, to look at again or to go on with."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import gradio as gr

from tuner.errors import TunerError
from tuner.ui import markup, wording
from tuner.ui.desk import Desk

HEAD = ("Run", "State", "Steps", "Time", "Last change", "")


class RunsTab(NamedTuple):
    table: gr.HTML
    refresh: gr.Button


def build() -> RunsTab:
    table = markup.region("runs", acts=True)
    refresh = gr.Button("Look again", size="sm", scale=0, min_width=140)
    return RunsTab(table, refresh)


def show(desk: Desk) -> str:
    """The table of all runs, the latest first, with what can be done with each."""
    runs = desk.session.runs()
    if not runs:
        return markup.sentence(wording.NO_RUNS)
    return markup.table("Runs", HEAD, (_row(desk, run) for run in runs), "runs")


def _row(desk: Desk, run: Path) -> list[str]:
    going = desk.session.running and desk.folder is not None and desk.folder.path.resolve() == run.resolve()
    view = desk.view if going else desk.history.view(run)
    name = markup.text(run.name)
    state = f'<span class="state {view.state}">{wording.STATES[view.state]}</span>'
    steps = f"{view.step} of {view.num_steps}"
    time = wording.duration(view.updated_at - view.started_at) if view.started_at and view.updated_at else "–"
    last = datetime.fromtimestamp(view.updated_at).strftime("%Y-%m-%d %H:%M") if view.updated_at else "–"
    buttons = markup.button(f"open:{run.name}", "Open", said=f"Open {run.name}")
    if not view.active and view.step < view.num_steps:
        buttons += markup.button(f"continue:{run.name}", "Continue", said=f"Continue {run.name}")
    return [name, state, steps, time, last, buttons]


def act(desk: Desk, what: str) -> gr.Tabs:
    """Carry out `open:NAME` or `continue:NAME` of a row, and go where the run is to be seen."""
    deed, _, run = what.partition(":")
    deeds = {"open": desk.open, "continue": desk.resume}
    if deed not in deeds:
        raise TunerError(f"The page asked for something unknown ('{what}').")
    deeds[deed](run)
    return gr.Tabs(selected="results" if desk.view.state == "finished" else "train")

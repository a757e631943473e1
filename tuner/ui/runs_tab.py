"""What was trained before and what waits for its turn: to look at, to go on with, to copy, to delete."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from tuner.errors import TunerError
from tuner.files.importers import NAMES
from tuner.files.run_folder import RunFolder
from tuner.queue import Entry
from tuner.ui import form, history, markup, recipe_tab, shelf, wording
from tuner.ui.acting import QUIET, Acting
from tuner.ui.desk import Desk
from tuner.ui.recipe_tab import RecipeTab
from tuner.ui.trouble import guarded
from tuner.view import RunView

HEAD = ("", "Run", "State", "Preset", "Steps", "Peak VRAM", "Time", "Last change", "")
TABS = {"finished": "results"}
"""Where a run is looked at; any other state is shown on the Train tab."""


class RunsTab(NamedTuple):
    """`asked` is the run that one of the two questions is about."""

    waiting: gr.HTML
    table: gr.HTML
    asked: gr.Textbox
    more: gr.Group
    steps: gr.Number
    longer: gr.Button
    remove: gr.Group
    typed: gr.Textbox
    delete: gr.Button
    refresh: gr.Button
    foreign: gr.File
    opened: gr.HTML

    @property
    def lists(self) -> list[Any]:
        """What `show` fills."""
        return [self.waiting, self.table]

    @property
    def questions(self) -> list[Any]:
        return [self.asked, self.more, self.steps, self.remove, self.typed]


def build() -> RunsTab:
    waiting = markup.region("queue", acts=True)
    asked = gr.Textbox(visible="hidden", label="Run asked about")
    with gr.Group(visible=False) as more:
        steps = gr.Number(label="Train on up to", info=wording.MORE_HELP, precision=0)
        longer = gr.Button("Go on", size="sm", variant="primary")
    with gr.Group(visible=False) as remove:
        typed = gr.Textbox(label="Delete a run", info=wording.DELETE_HELP)
        delete = gr.Button("Delete it for good", size="sm", variant="stop")
    table = markup.region("runs", acts=True)
    refresh = gr.Button("Look again", size="sm", scale=0, min_width=140)
    with gr.Accordion("Open the configuration of another trainer", open=False):
        foreign = gr.File(
            label=f"Files of {', '.join(NAMES)}", file_count="multiple", height=140, elem_id="foreign"
        )
        opened = markup.region("opened", acts=True)
    return RunsTab(
        waiting, table, asked, more, steps, longer, remove, typed, delete, refresh, foreign, opened
    )


def tie(tab: RunsTab, desk: Desk, act: Acting, opened: Any, tabs: gr.Tabs, recipe: RecipeTab) -> None:
    """`opened` is the event that this tab is opened; `tabs` and `recipe` show what a deed made of them."""
    for event in (opened, tab.refresh.click):
        act.on(event, lambda: show(desk), None, tab.lists)
    outputs = [tabs, *recipe.sections, *tab.lists, *tab.questions]

    def pressed(word: str) -> list[Any]:
        return told(desk, press(desk, word))

    def go_on(run: str, num_steps: float | None) -> list[Any]:
        return told(desk, train_on(desk, run, num_steps))

    def delete(run: str, typed: str) -> list[Any]:
        shelf.delete(desk, run, typed)
        return told(desk, Answer())

    refresh_recipe = guarded(desk, partial(recipe_tab.refresh, desk))
    for heard in (tab.table, tab.waiting, tab.opened):
        act.word(heard.click, pressed, outputs).then(refresh_recipe, recipe.seen, recipe.shown, **QUIET)
    act.slowly(tab.opened, tab.foreign.upload, partial(open_foreign, desk), tab.foreign, tab.opened)
    act.on(tab.longer.click, go_on, [tab.asked, tab.steps], outputs)
    for event in (tab.delete.click, tab.typed.submit):
        act.on(event, delete, [tab.asked, tab.typed], outputs)


def show(desk: Desk) -> list[str]:
    """The values of `RunsTab.lists`: the queue, and the table of all runs, the latest first."""
    return [waiting(desk), table(desk)]


def waiting(desk: Desk) -> str:
    """The runs in their turn; nothing where none waits."""
    entries = desk.queue.entries
    if not entries:
        return ""
    rows = (_entry(one, number, desk.queue.going) for number, one in enumerate(entries, start=1))
    held = markup.button("release:", "Go on", "primary") if desk.queue.held else ""
    said = wording.QUEUE_HELD if desk.queue.held else wording.QUEUE_GOES
    return f"<p>{markup.text(said)} {held}</p>" + markup.table("Queue", ("", "Run", "State", ""), rows)


def _entry(one: Entry, number: int, going: str | None) -> list[str]:
    run = markup.text(one.run)
    if one.run == going:
        return [str(number), run, "goes on", ""]
    deeds = (("up", "Up"), ("down", "Down"), ("out", "Take out"))
    buttons = "".join(
        markup.button(f"{deed}:{one.run}", word, said=f"{word}: {one.run}") for deed, word in deeds
    )
    state = f'<span class="sentence bad">{markup.text(one.refused)}</span>' if one.refused else "waits"
    return [str(number), run, state, buttons]


def table(desk: Desk) -> str:
    runs = shelf.folders(desk)
    if not runs:
        return markup.sentence(wording.NO_RUNS)
    return markup.table("Runs", HEAD, (_row(desk, run) for run in runs), "runs")


def _row(desk: Desk, run: RunFolder) -> list[str]:
    view = desk.view if desk.is_going(run.name) else desk.history.view(run.path)
    small = history.thumbnail(view, desk.thumbnails)
    state = wording.STATES[view.state] if view.state != "idle" else wording.NOT_STARTED
    begun, last = view.started_at, view.updated_at
    return [
        markup.picture(small, f"last sample of {run.name}") if small else "",
        markup.text(run.name),
        f'<span class="state {view.state}">{state}</span>',
        markup.text(desk.preset_of(run) or "–"),
        f"{view.step} of {view.num_steps}" if view.num_steps else "–",
        f"{view.peak_vram_gb:.1f} GB" if view.peak_vram_gb else "–",
        wording.duration(last - begun) if begun and last else "–",
        datetime.fromtimestamp(last).strftime("%Y-%m-%d %H:%M") if last else "–",
        _buttons(desk, run.name, view),
    ]


def _buttons(desk: Desk, run: str, view: RunView) -> str:
    """What can be done with a run in this state."""
    deeds = []
    if view.state != "idle":
        deeds.append(("open", "Open"))
    waits = run in [one.run for one in desk.queue.entries]
    if not view.active and not waits:
        done = view.num_steps and view.step >= view.num_steps
        start = "Start" if view.state == "idle" else "Continue"
        deeds.append(("more", "Train on") if done else ("continue", start))
    deeds += [("copy", "Copy as new"), ("folder", "Folder")]
    if not view.active and not waits:
        deeds.append(("delete", "Delete"))
    return "".join(markup.button(f"{deed}:{run}", word, said=f"{word} {run}") for deed, word in deeds)


def open_foreign(desk: Desk, paths: list[str] | None) -> str:
    """What became of the files that were dropped, and what was not carried over."""
    if not paths:
        return ""
    found = shelf.open_foreign(desk, [Path(path) for path in paths])
    said = markup.sentence(wording.opened(found.program, desk.draft.name))
    left = "".join(f"<li>{markup.text(sentence)}</li>" for sentence in found.left)
    behind = f"<p>{markup.text(wording.NOT_CARRIED)}</p><ul>{left}</ul>" if left else ""
    return said + markup.button("recipe:", "Go to the recipe", "primary") + behind


class Answer(NamedTuple):
    """What a press changes on the page: the tab to go to, whether the recipe is another one, and a question
    (`more` or `delete`) about a run.
    """

    tab: str = ""
    new_recipe: bool = False
    question: str = ""
    run: str = ""
    steps: int = 0


def press(desk: Desk, word: str) -> Answer:
    """Carry out `deed:RUN` of a button; what the page sends is not trusted."""
    deed, _, run = word.partition(":")
    if deed not in DEEDS:
        raise TunerError(f"The page asked for something unknown ('{word}').")
    return DEEDS[deed](desk, run) or Answer()


def _open(desk: Desk, run: str) -> Answer:
    desk.open(run)
    return Answer(TABS.get(desk.view.state, "train"))


def _continue(desk: Desk, run: str) -> Answer:
    return _gone_on(desk, run, None)


def train_on(desk: Desk, run: str, num_steps: float | None) -> Answer:
    """The question `more` was answered."""
    return _gone_on(desk, run, int(num_steps or 0))


def _gone_on(desk: Desk, run: str, num_steps: int | None) -> Answer:
    if shelf.go_on(desk, run, num_steps):
        gr.Info(wording.waits(run))
        return Answer()
    return Answer("train")


def _copy(desk: Desk, run: str) -> Answer:
    shelf.copy(desk, run)
    return Answer("recipe", new_recipe=True)


def _ask_more(desk: Desk, run: str) -> Answer:
    view = desk.history.view(desk.run_folder(run).path)
    return Answer(question="more", run=run, steps=2 * view.num_steps)


def _ask_delete(desk: Desk, run: str) -> Answer:
    return Answer(question="delete", run=desk.run_folder(run).name)


DEEDS: dict[str, Callable[[Desk, str], Answer | None]] = {
    "open": _open,
    "continue": _continue,
    "copy": _copy,
    "more": _ask_more,
    "delete": _ask_delete,
    "folder": lambda desk, run: shelf.open_folder(desk.run_folder(run).path),
    "up": lambda desk, run: desk.queue.move(run, -1),
    "down": lambda desk, run: desk.queue.move(run, 1),
    "out": lambda desk, run: desk.queue.remove(run),
    "recipe": lambda *_: Answer("recipe", new_recipe=True),
    "release": lambda desk, _: desk.queue.go_on(),
}


def told(desk: Desk, answer: Answer) -> list[Any]:
    """The values of the tabs, the sections of the expert form, `RunsTab.lists` and `RunsTab.questions`."""
    tab = gr.Tabs(selected=answer.tab) if answer.tab else gr.skip()
    section = gr.Accordion(open=False) if answer.new_recipe else gr.skip()
    more, delete = answer.question == "more", answer.question == "delete"
    label = f"Type “{answer.run}” to delete it"
    return [
        tab,
        *[section] * len(form.SECTIONS),
        *show(desk),
        answer.run,
        gr.update(visible=more),
        gr.update(value=answer.steps or None, label=f"Train “{answer.run}” on up to"),
        gr.update(visible=delete),
        gr.update(value="", label=label),
    ]

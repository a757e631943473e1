"""What came out: samples of the LoRA beside those of the untrained model, and the file to use."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from tuner.ui import export_card, form, markup, outcome, recipe_tab, wording
from tuner.ui.acting import QUIET, Acting
from tuner.ui.desk import Desk
from tuner.ui.recipe_tab import RecipeTab
from tuner.ui.sheet import sheet
from tuner.ui.trouble import guarded
from tuner.view import RunView, Sample

NEWEST = "newest"


class ResultsTab(NamedTuple):
    """All that `show` fills, or leaves as it is."""

    title: gr.HTML
    prompt: gr.Dropdown
    step: gr.Dropdown
    choose: gr.Button
    slider: gr.ImageSlider
    sheet: gr.HTML
    card: gr.HTML
    send: gr.Button
    download: gr.DownloadButton
    workflow: gr.DownloadButton
    picture: gr.DownloadButton
    strength: gr.Slider
    mean: gr.Checkbox
    folder: gr.Textbox
    draw: gr.Checkbox
    compare: gr.Button
    preview: gr.Button
    strip: gr.HTML
    prompted: gr.Textbox
    trying: gr.Button
    tried: gr.HTML
    dropped: gr.UploadButton


def build() -> ResultsTab:
    title = markup.region("results")
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=300):
            seen = _comparison()
        with gr.Column(scale=2, min_width=280):
            made = _export()
    strip = markup.region("strengths")
    contact = markup.region("contact", acts=True)
    prompted = gr.Textbox("", label="Try a prompt", info=wording.TRY_HELP, max_lines=3)
    trying = gr.Button("Draw it", size="sm", interactive=False)
    tried = markup.region("tried")
    dropped = gr.UploadButton(wording.OPEN_EXPORT, file_types=[".safetensors"], size="sm")
    return ResultsTab(
        title=title,
        sheet=contact,
        strip=strip,
        prompted=prompted,
        trying=trying,
        tried=tried,
        dropped=dropped,
        **seen,
        **made,
    )


def _comparison() -> dict[str, Any]:
    """What stands on the left: before and after."""
    with gr.Row(equal_height=True):
        prompt = gr.Dropdown([], label="Prompt", interactive=True, filterable=False, min_width=160)
        step = gr.Dropdown([], label="Step", interactive=True, filterable=False, min_width=100)
        choose = gr.Button(wording.THIS_ONE, size="sm", interactive=False, min_width=90)
    slider = gr.ImageSlider(
        type="filepath",
        label="Before and after",
        interactive=False,
        height=420,
        max_height=420,
        buttons=["fullscreen"],
        elem_id="slider",
    )
    markup.region("compare", value=markup.quiet(wording.COMPARE))
    return {"prompt": prompt, "step": step, "choose": choose, "slider": slider}


def _export() -> dict[str, Any]:
    """What stands on the right: the file, and what to do with it."""
    card = markup.region("exported")
    send = gr.Button(wording.SEND, variant="primary", interactive=False)
    with gr.Row():
        download = gr.DownloadButton("Download the file", size="sm", visible=False, min_width=110)
        workflow = gr.DownloadButton("Workflow (.json)", size="sm", visible=False, min_width=110)
        picture = gr.DownloadButton("Sample with workflow (.png)", size="sm", visible=False, min_width=110)
    with gr.Accordion("Strength and folder", open=False):
        strength = gr.Slider(
            0.0, 2.0, 1.0, step=0.05, label="Strength", info=wording.STRENGTH_HELP, interactive=True
        )
        mean = gr.Checkbox(label="Running mean (EMA)", info=wording.MEAN_HELP, visible=False)
        folder = gr.Textbox("", label="ComfyUI folder", info=wording.SEND_HELP, placeholder="found by itself")
        draw = gr.Checkbox(label="Draw it in ComfyUI too", info=wording.DRAW_HELP)
    with gr.Row():
        compare = gr.Button("Compare strengths", size="sm", interactive=False, min_width=110)
        preview = gr.Button("Draw with the file", size="sm", interactive=False, min_width=110)
    return {
        "card": card,
        "send": send,
        "download": download,
        "workflow": workflow,
        "picture": picture,
        "strength": strength,
        "mean": mean,
        "folder": folder,
        "draw": draw,
        "compare": compare,
        "preview": preview,
    }


def tie(tab: ResultsTab, desk: Desk, act: Acting, tabs: gr.Tabs, recipe: RecipeTab) -> None:
    """`tabs` and `recipe` show the recipe of a LoRA that is dropped here."""
    looked, compared = [tab.prompt, tab.step], [tab.choose, tab.slider, tab.sheet]

    def on(event: Any, deed: Callable[..., None], *values: Any, busy: Any = None) -> None:
        """`deed` gets the prompt and the step that are looked at, and `values`."""

        def run(prompt: str | None, step: str | None, *given: Any) -> list[Any]:
            deed(prompt, step, *given)
            return show(desk, prompt, step)

        tied = act.on if busy is None else partial(act.slowly, busy)
        tied(event, run, [*looked, *values], [*tab])

    for choice in looked:
        choice.input(guarded(desk, partial(look, desk)), looked, compared, **QUIET)
    act.word(tab.sheet.click, partial(pick, desk), [*looked, *compared])
    on(tab.choose.click, lambda _, step: outcome.choose_step(desk, number(desk.view, step)))
    on(tab.send.click, partial(_send, desk), tab.folder, tab.draw, busy=tab.card)
    on(tab.preview.click, partial(_preview, desk), tab.folder, busy=tab.card)
    on(tab.compare.click, lambda prompt, _: outcome.strengths(desk, prompt), busy=tab.strip)
    for event in (tab.trying.click, tab.prompted.submit):
        on(event, lambda _, __, prompt: outcome.try_prompt(desk, prompt), tab.prompted, busy=tab.tried)
    on(tab.strength.release, lambda _, __, value: outcome.choose_strength(desk, value), tab.strength)
    on(tab.mean.input, lambda _, __, value: outcome.choose_mean(desk, value), tab.mean)
    opened = [tabs, *recipe.shown, *recipe.sections]
    act.on(tab.dropped.upload, partial(open_export, desk), tab.dropped, opened)


def show(desk: Desk, prompt: str | None, step: str | None) -> list[Any]:
    """The values of `ResultsTab`, keeping what the user looks at and types; `step` is a number as text, or
    `NEWEST`.
    """
    view = desk.view
    titles, steps = wording.titles(view.samples), _steps(view)
    prompt = prompt if prompt in titles else next(iter(titles), None)
    step = step if step in steps else NEWEST
    has_checkpoint, is_free = outcome.checkpoint(desk) is not None, not view.active
    can_draw = gr.update(interactive=has_checkpoint and is_free)
    file = outcome.newest_export(desk.folder)
    choices = [(wording.newest(steps), NEWEST), *((one, one) for one in steps)]
    choose, slider, contact = look(desk, prompt, step)
    return list(
        ResultsTab(
            title=_title(view),
            prompt=gr.update(choices=[(title, name) for name, title in titles.items()], value=prompt),
            step=gr.update(choices=choices, value=step),
            choose=choose,
            slider=slider,
            sheet=contact,
            card=export_card.card(desk, prompt),
            send=gr.update(interactive=has_checkpoint),
            download=_offered(file),
            workflow=_offered(file and file.with_suffix(".json")),
            picture=_offered(file and file.with_suffix(".png")),
            strength=gr.update(value=outcome.strength(desk), interactive=desk.folder is not None),
            mean=gr.update(value=outcome.mean(desk), visible=outcome.has_mean(desk)),
            folder=gr.skip(),
            draw=gr.skip(),
            compare=can_draw,
            preview=gr.update(interactive=file is not None and is_free),
            strip=_picture(desk.strip, wording.STRIP_HELP),
            prompted=gr.skip(),
            trying=can_draw,
            tried=_picture(desk.tried, wording.TRIED),
            dropped=gr.skip(),
        )
    )


def look(desk: Desk, prompt: str | None, step: str | None) -> list[Any]:
    """What depends on what is looked at: the button of the mark, before and after, the contact sheet."""
    view, chosen = desk.view, outcome.chosen_step(desk)
    at = number(view, step)
    choose = gr.update(
        value=wording.NOT_THIS_ONE if at and at == chosen else wording.THIS_ONE, interactive=bool(at)
    )
    return [choose, pair(view, prompt, step), contact_sheet(desk, prompt, at)]


def pick(desk: Desk, word: str) -> list[Any]:
    """A picture of the contact sheet is looked at: `look:<step>:<number of the prompt>`."""
    _, step, place = word.split(":")
    names = list(wording.titles(desk.view.samples))
    prompt, at = names[int(place)], step if step in _steps(desk.view) else NEWEST
    return [prompt, at, *look(desk, prompt, at)]


def contact_sheet(desk: Desk, prompt: str | None, at: int) -> str:
    """All samples, to be pressed; the one that is looked at and the chosen step are marked."""
    view = desk.view
    if not view.samples:
        return ""
    names, chosen = list(wording.titles(view.samples)), outcome.chosen_step(desk)
    kept = outcome.kept_steps(desk.folder)

    def cell(one: Sample) -> str:
        said = f"{one.prompt}, step {one.step}"
        pressed = "true" if (one.name, one.step) == (prompt, at) else "false"
        image = f'<img src="{markup.file_address(Path(one.path))}" alt="" loading="lazy">'
        return (
            f'<button type="button" class="look" data-act="look:{one.step}:{names.index(one.name)}" '
            f'aria-pressed="{pressed}" aria-label="{markup.text(said)}">{image}</button>'
        )

    def head(step: int) -> str:
        mark = f'<span class="state ok">{wording.CHOSEN}</span>' if step == chosen else ""
        return f"{step} {mark}" + ("" if step in kept else f" <small>{wording.NOT_KEPT}</small>")

    return sheet(view, cell, head, wording.CONTACT)


def pair(view: RunView, prompt: str | None, step: str | None) -> tuple[str, str] | None:
    """The baseline and the sample of that step, of one prompt; None while one of them is missing."""
    mine = {sample.step: sample for sample in view.samples if sample.name == prompt}
    newest = max(mine, default=0)
    before, after = mine.get(0), mine.get(newest if step in (None, NEWEST) else int(str(step)))
    if before is None or after is None or after is before:
        return None
    return _file(before), _file(after)


def number(view: RunView, step: str | None) -> int:
    """The step that is looked at; 0 where there is none but the untrained model's."""
    return int(step) if step not in (None, NEWEST) else max((one.step for one in view.samples), default=0)


def open_export(desk: Desk, file: str) -> list[Any]:
    """The recipe of a LoRA becomes the one in progress, and its tab is shown."""
    notes = desk.open_export(Path(file))
    gr.Info(" ".join([wording.OPENED, *notes]))
    closed = [gr.Accordion(open=False)] * len(form.SECTIONS)
    return [gr.Tabs(selected="recipe"), *recipe_tab.show(desk), *closed]


def _send(desk: Desk, prompt: str | None, step: str | None, folder: str, draw: bool) -> None:
    outcome.send(desk, folder, prompt, draw)


def _preview(desk: Desk, prompt: str | None, step: str | None, folder: str) -> None:
    outcome.preview(desk, folder, prompt)


def _steps(view: RunView) -> list[str]:
    """Those that samples were drawn at, but for the untrained model, the newest first."""
    return [str(one) for one in sorted({one.step for one in view.samples if one.step}, reverse=True)]


def _file(sample: Sample) -> str:
    return str(Path(sample.path).resolve())


def _offered(file: Path | None) -> Any:
    """For a button of a file that may be there."""
    there = file is not None and file.is_file()
    return gr.update(value=str(file) if there else None, visible=there)


def _picture(path: Path | None, said: str) -> str:
    return markup.picture(path, said) + markup.quiet(said) if path else ""


def _title(view: RunView) -> str:
    if not view.samples:
        return markup.sentence(wording.NO_RESULTS)
    return markup.sentence(f"{view.run}: {wording.STATES[view.state].lower()}, step {view.step}.")

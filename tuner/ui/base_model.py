"""The model to train on: one that is on this computer, one to download, or the practice model."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from tuner import machine, presets
from tuner.errors import TunerError
from tuner.export import comfyui
from tuner.flux.catalog import FLAVOURS, flavour
from tuner.flux.single_file import is_single_file
from tuner.hub import access, download, found
from tuner.hub.download import Download, File
from tuner.machine import GB
from tuner.plan import sources
from tuner.ui import markup, wording
from tuner.ui.acting import QUIET, Acting
from tuner.ui.desk import Desk

PRACTICE = "practice"
ENCODERS = ("text_encoder", "text_encoder_2", "vae")


class BaseModelPart(NamedTuple):
    chosen: gr.HTML
    folder: gr.Textbox
    look: gr.Button
    practice: gr.Button
    found: gr.HTML
    flavour: gr.Dropdown
    licence: gr.HTML
    token: gr.Textbox
    keep: gr.Button
    check: gr.Button
    ticks: gr.HTML
    start: gr.Button
    stop: gr.Button
    progress: gr.HTML
    timer: gr.Timer

    @property
    def live(self) -> list[Any]:
        """What `progress` fills."""
        return [self.progress, self.timer]


class Models:
    """What was found last, and the one download; shared by all tabs of all browsers."""

    def __init__(self) -> None:
        self.found: tuple[found.Found, ...] | None = None
        self.download = Download()


def build() -> BaseModelPart:
    chosen = markup.region("base-model")
    with gr.Row(equal_height=True):
        look = gr.Button("Look on this computer", variant="primary", min_width=180)
        practice = gr.Button("Take the practice model", min_width=180)
    folder = gr.Textbox(label="Look in this folder too", info=wording.LOOK_HELP, max_lines=1)
    shown = markup.region("found", acts=True)
    with gr.Accordion("Download from Hugging Face", open=False):
        names = [(f"{one.title} ({one.repository})", one.name) for one in FLAVOURS]
        which = gr.Dropdown(names, value="dev", label="Model to download", filterable=False)
        licence = markup.region("licence", value=licence_of("dev"))
        with gr.Row(equal_height=False):
            token = gr.Textbox(label="Token", info=wording.TOKEN_HELP, type="password", max_lines=1, scale=3)
            keep = gr.Button("Try and keep the token", size="sm", scale=1, min_width=160)
        check = gr.Button("Check the access", size="sm", scale=0, min_width=160)
        ticks = markup.region("ticks")
        with gr.Row():
            start = gr.Button("Download", variant="primary", min_width=120)
            stop = gr.Button("Pause", min_width=120)
        progress = markup.region("downloads")
    timer = gr.Timer(1, active=False)
    return BaseModelPart(
        chosen, folder, look, practice, shown, which, licence, token, keep, check, ticks, start, stop,
        progress, timer,
    )  # fmt: skip


def tie(part: BaseModelPart, desk: Desk, act: Acting, opened: Any) -> None:
    """`opened` is the event that the tab is opened; every browser tab shows the same download."""
    models, shown = Models(), [part.chosen, part.found]
    for event in (part.look.click, part.folder.submit):
        act.slowly(part.found, event, partial(look, desk, models), part.folder, shown)
    act.word(part.found.click, partial(use, desk, models), shown)
    act.on(part.practice.click, lambda: take_practice(desk, models), None, shown)
    part.flavour.change(licence_of, part.flavour, part.licence, **QUIET)
    for event in (part.keep.click, part.token.submit):
        act.slowly(part.ticks, event, keep_token, [part.token, part.flavour], [part.token, part.ticks])
    act.slowly(part.ticks, part.check.click, ticks, part.flavour, part.ticks)
    act.slowly(part.progress, part.start.click, partial(start, desk, models), part.flavour, part.live)
    act.on(part.stop.click, lambda: stop(models), None, part.live)
    for event in (part.timer.tick, opened):
        event(lambda: progress(models), None, part.live, **QUIET)


def chosen(desk: Desk) -> str:
    """What the recipe trains on now, and which parts of it still have to come."""
    settings = desk.draft.settings
    place, _ = sources.transformer_place(settings)
    whole = sources.model_place(settings)
    title = "the practice model" if desk.draft.preset == PRACTICE else settings.flavour.title
    said = markup.sentence(f"The recipe trains {title}.") + f"<p><code>{markup.text(place)}</code></p>"
    if Path(whole).is_dir():
        return said
    parts = ENCODERS if is_single_file(place) or Path(place).is_dir() else ("transformer", *ENCODERS)
    missing = found.lacking(whole, parts)
    return said + (markup.quiet(wording.still_missing(whole, missing)) if missing else "")


def look(desk: Desk, models: Models, folder: str) -> list[str]:
    """Search the usual places, and the user's folder."""
    own = [Path(folder.strip()).expanduser()] if folder.strip() else []
    if own and not own[0].is_dir():
        raise TunerError(f"There is no folder '{own[0]}'.")
    roots = [one.root for one in comfyui.installs(address=None) if one.root is not None]
    models.found = found.find([*own, *found.usual_folders(roots)])
    return [chosen(desk), listed(models)]


def listed(models: Models) -> str:
    if models.found is None:
        return ""
    if not models.found:
        return markup.sentence(wording.NOTHING_FOUND)
    rows = (_row(number, one) for number, one in enumerate(models.found))
    return markup.table("Found on this computer", ("Model", "Size", "Format", ""), rows)


def _row(number: int, one: found.Found) -> list[str]:
    title = f"{flavour(one.flavour).title}<br><em>{markup.text(one.place)}</em>"
    use = markup.button(f"use:{number}", "Use it", "primary", said=f"Use {one.place}")
    return [title, f"{one.gigabytes:.1f} GB", markup.text(one.format), markup.text(one.remark) or use]


def use(desk: Desk, models: Models, word: str) -> list[str]:
    """Train on a model that was found, where it lies; a recipe for the practice model gives way."""
    number = word.removeprefix("use:")
    if not number.isdigit() or int(number) >= len(models.found or ()):
        raise TunerError("That list is out of date.")
    assert models.found is not None
    take(desk, models.found[int(number)].place, models.found[int(number)].flavour)
    return [chosen(desk), listed(models)]


def take(desk: Desk, place: str, flavour_name: str) -> None:
    """The recipe's model from now on."""
    if desk.draft.preset == PRACTICE:
        desk.draft.choose(_first_real_preset())
    desk.draft.change(
        {
            "model.pretrained_model_name_or_path": place,
            "model.pretrained_transformer_model_name_or_path": None,
            "model.model_flavour": flavour_name,
        }
    )


def _first_real_preset() -> str:
    """The recommended one; where there is no card, the smallest."""
    best = presets.recommended(machine.read())
    real = [one for one in presets.listed() if one.name != PRACTICE]
    return best.name if best in real else real[0].name


def take_practice(desk: Desk, models: Models) -> list[str]:
    if desk.draft.preset != PRACTICE:
        desk.draft.choose(PRACTICE)
    return [chosen(desk), listed(models)]


# Downloads


def licence_of(name: str) -> str:
    address = access.page(flavour(name).repository)
    link = f'<a href="{markup.text(address)}" target="_blank" rel="noopener">{markup.text(address)}</a>'
    return f"<p>{markup.text(wording.LICENCE)} {link}</p>"


def ticks(name: str) -> str:
    """Token and repository, each tested now."""
    return _ticks(access.ticks(flavour(name).repository))


def _ticks(findings: Iterable[machine.Finding]) -> str:
    rows = (
        (
            f'<span class="state {one.state}">{wording.FINDINGS[one.state]}</span>',
            markup.text(one.title),
            f"{markup.text(one.sentence)} {markup.text(one.mend)}",
        )
        for one in findings
    )
    return markup.table("Access", ("State", "What", "Finding"), rows)


def keep_token(token: str, name: str) -> list[str]:
    """The field is emptied: the token is kept by the Hugging Face library alone."""
    access.keep(token)
    return ["", ticks(name)]


def start(desk: Desk, models: Models, name: str) -> list[Any]:
    """Fetch what the recipe lacks of this flavour; a transformer in a file of its own is not fetched too."""
    repository = flavour(name).repository
    place, _ = sources.transformer_place(desk.draft.settings)
    own = is_single_file(place) and desk.draft.settings.flavour.name == name
    models.download.start(repository, download.wanted(repository, with_transformer=not own))
    if not own:
        take(desk, repository, name)
    return progress(models)


def stop(models: Models) -> list[Any]:
    models.download.stop()
    return progress(models)


def progress(models: Models) -> list[Any]:
    """One card a file, and whether the page asks again in a second."""
    one = models.download
    if one.state == "idle":
        return ["", gr.Timer(active=False)]
    done, total = sum(file.done for file in one.files), sum(file.num_bytes for file in one.files)
    said = markup.sentence(f"{wording.DOWNLOADS[one.state]} {done / GB:.1f} of {total / GB:.1f} GB.")
    trouble = markup.problem(one.problem) if one.problem else ""
    cards = "".join(_card(file) for file in one.files if file.num_bytes > SMALL_BYTES or file.speed)
    return [said + trouble + cards, gr.Timer(active=one.state == "running")]


SMALL_BYTES = 50_000_000
"""Smaller files come in a moment and need no card."""


def _card(file: File) -> str:
    parts = [f"{file.done / GB:.2f} of {file.num_bytes / GB:.2f} GB"]
    if file.seconds_left is not None:
        left = wording.duration(file.seconds_left)
        parts.append(f"{file.speed / 1e6:.0f} MB a second, about {left} left")
    said = ", ".join(parts)
    name = f"<span>{markup.text(file.name)}</span><span>{markup.text(said)}</span>"
    bar = markup.bar(file.name, file.done, file.num_bytes, said)
    return f'<div class="gauge"><div class="names">{name}</div>{bar}</div>'

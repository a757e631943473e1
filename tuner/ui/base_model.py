"""The model to train on: one that is on this computer, one to download, or the practice model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from tuner import machine, presets
from tuner.errors import TunerError
from tuner.export import comfyui
from tuner.flux.catalog import flavour
from tuner.flux.single_file import is_single_file
from tuner.hub import download, found
from tuner.hub.download import Download
from tuner.plan import sources
from tuner.ui import download_part, markup, wording
from tuner.ui.acting import QUIET, Acting
from tuner.ui.desk import Desk
from tuner.ui.download_part import DownloadPart

FOUND, DOWNLOAD, PRACTICE = wording.SOURCES
ENCODERS = ("text_encoder", "text_encoder_2", "vae")


class BaseModelPart(NamedTuple):
    """`own` and `fetch` are what belongs to a choice, shown where it is made."""

    chosen: gr.HTML
    choice: gr.Radio
    own: gr.Column
    folder: gr.Textbox
    look: gr.Button
    found: gr.HTML
    fetch: gr.Column
    download: DownloadPart

    @property
    def shown(self) -> list[Any]:
        """What `show` fills."""
        return [self.chosen, self.choice, self.own, self.found, self.fetch, self.download.flavour]


class Models:
    """What was found last, and the one download; shared by all tabs of all browsers."""

    def __init__(self) -> None:
        self.found: tuple[found.Found, ...] | None = None
        self.download = Download()


def build() -> BaseModelPart:
    choices = [(title, name) for name, title in wording.SOURCES.items()]
    choice = gr.Radio(choices, label="Train on", elem_id="source")
    with gr.Column(visible=False) as own:
        shown = markup.region("found", acts=True)
        with gr.Row(equal_height=True):
            folder = gr.Textbox(label="Look in this folder too", info=wording.LOOK_HELP, max_lines=1, scale=3)
            look = gr.Button("Look again", scale=1, min_width=140)
    with gr.Column(visible=False) as fetch:
        download = download_part.build()
    chosen = markup.region("base-model")
    return BaseModelPart(chosen, choice, own, folder, look, shown, fetch, download)


def tie(
    part: BaseModelPart,
    desk: Desk,
    act: Acting,
    opened: Any,
    models: Models,
    steps: list[Any],
    moved: Callable[[], list[Any]],
) -> None:
    """`opened` is the event that the tab is opened; every browser tab shows the same download. `steps` is
    what `moved` fills: how far the user has come.
    """

    def chosen_by(choose: Callable[..., str | None]) -> Callable[..., list[Any]]:
        def run(*values: Any) -> list[Any]:
            source = choose(*values)
            return [*show(desk, models, source), *moved()]

        return run

    shown = [*part.shown, *steps]
    for event in (part.look.click, part.folder.submit):
        act.slowly(part.found, event, chosen_by(partial(look, models)), part.folder, shown)
    act.slowly(part.found, part.choice.input, chosen_by(partial(choose, desk, models)), part.choice, shown)
    act.word(part.found.click, chosen_by(partial(use, desk, models)), shown)
    begin = partial(start, desk, models)
    download_part.tie(part.download, act, opened, models.download, begin)
    part.download.timer.tick(
        lambda: gr.skip() if models.download.state == "running" else moved(), None, steps, **QUIET
    )


def show(desk: Desk, models: Models, source: str | None = None) -> list[Any]:
    """The values of `BaseModelPart.shown`; `source` is a row of `wording.SOURCES` that is asked for, by
    default the one that the recipe's model comes from.
    """
    source = source or source_of(desk, models)
    fetches = source == DOWNLOAD or (source == FOUND and _is_incomplete(desk))
    own, fetch = gr.update(visible=source == FOUND), gr.update(visible=fetches)
    wanted = gr.skip() if desk.draft.preset == PRACTICE else desk.draft.settings.flavour.name
    return [chosen(desk), source, own, listed(models), fetch, wanted]


def source_of(desk: Desk, models: Models) -> str:
    if desk.draft.preset == PRACTICE:
        return PRACTICE
    usable = any(not one.remark for one in models.found or ())
    return FOUND if usable or "transformer" not in missing(desk) else DOWNLOAD


def missing(desk: Desk) -> list[str]:
    """The parts of the recipe's model that are not on this computer."""
    settings = desk.draft.settings
    place, _ = sources.transformer_place(settings)
    whole = sources.model_place(settings)
    if Path(whole).is_dir():
        return []
    is_here = is_single_file(place) or Path(place).is_dir()
    return found.lacking(whole, ENCODERS if is_here else ("transformer", *ENCODERS))


def _is_incomplete(desk: Desk) -> bool:
    """The transformer is here, and other parts are not."""
    return 0 < len(missing(desk)) <= len(ENCODERS)


def state(desk: Desk, models: Models) -> tuple[bool, str]:
    """Whether a run can begin with it, and the same in a few words for the heading."""
    if desk.draft.preset == PRACTICE:
        return True, "the practice model"
    title = desk.draft.settings.flavour.title
    if not missing(desk):
        return True, title
    if models.download.state == "running":
        return True, f"{title} is being downloaded"
    return False, f"{title} is not here yet"


def chosen(desk: Desk) -> str:
    """What the recipe trains on now, and which parts of it still have to come."""
    settings = desk.draft.settings
    place, _ = sources.transformer_place(settings)
    title = "the practice model" if desk.draft.preset == PRACTICE else settings.flavour.title
    said = markup.sentence(f"The recipe trains {title}.") + f"<p><code>{markup.text(place)}</code></p>"
    lacking = missing(desk)
    whole = sources.model_place(settings)
    return said + (markup.quiet(wording.still_missing(whole, lacking)) if lacking else "")


def choose(desk: Desk, models: Models, source: str) -> str:
    """One of the three ways to a model; only the practice model is taken at once."""
    if source == PRACTICE:
        take_practice(desk)
    elif source == FOUND and models.found is None:
        look(models, "")
    return source


def look(models: Models, folder: str) -> str:
    """Search the usual places, and the user's folder."""
    own = [Path(folder.strip()).expanduser()] if folder.strip() else []
    if own and not own[0].is_dir():
        raise TunerError(f"There is no folder '{own[0]}'.")
    roots = [one.root for one in comfyui.installs(address=None) if one.root is not None]
    models.found = found.find([*own, *found.usual_folders(roots)])
    return FOUND


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


def use(desk: Desk, models: Models, word: str) -> str:
    """Train on a model that was found, where it lies; a recipe for the practice model gives way."""
    number = word.removeprefix("use:")
    if not number.isdigit() or int(number) >= len(models.found or ()):
        raise TunerError("That list is out of date.")
    assert models.found is not None
    take(desk, models.found[int(number)].place, models.found[int(number)].flavour)
    return FOUND


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


def take_practice(desk: Desk) -> None:
    if desk.draft.preset != PRACTICE:
        desk.draft.choose(PRACTICE)


def start(desk: Desk, models: Models, name: str) -> None:
    """Fetch what the recipe lacks of this flavour; a transformer in a file of its own is not fetched too."""
    repository = flavour(name).repository
    place, _ = sources.transformer_place(desk.draft.settings)
    own = is_single_file(place) and desk.draft.settings.flavour.name == name
    models.download.start(repository, download.wanted(repository, with_transformer=not own))
    if not own:
        take(desk, repository, name)

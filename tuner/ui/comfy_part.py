"""ComfyUI on this computer, another folder for LoRAs, and whether they go there by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from tuner.export import comfyui
from tuner.ui import delivery, form, markup, wording
from tuner.ui.acting import Acting
from tuner.ui.delivery import Delivery
from tuner.ui.desk import Desk


class ComfyPart(NamedTuple):
    found: gr.HTML
    folder: gr.Textbox
    automatic: gr.Checkbox


def build() -> ComfyPart:
    found = markup.region("comfyui")
    automatic = gr.Checkbox(label=wording.AUTOMATIC, info=wording.AUTOMATIC_HELP)
    folder = gr.Textbox(label="Another folder for LoRAs", info=wording.COMFYUI_HELP, max_lines=1)
    return ComfyPart(found, folder, automatic)


def tie(part: ComfyPart, desk: Desk, act: Acting, steps: list[Any], moved: Any) -> None:
    """`steps` are the headings, which `moved` fills."""

    def kept(folder: str, automatic: bool) -> list[Any]:
        keep(desk, folder, automatic)
        return [*show(desk), *moved()]

    asked, shown = [part.folder, part.automatic], [*part, *steps]
    act.on(form.left(part.folder), kept, asked, shown)
    act.on(part.automatic.input, kept, asked, shown)


def show(desk: Desk) -> list[Any]:
    """The values of `ComfyPart`."""
    wish = delivery.read(desk.session.root)
    return [installs(), wish.folder, wish.automatic]


def keep(desk: Desk, folder: str, automatic: bool) -> None:
    """Raises TunerError for a folder that is not there."""
    folder = folder.strip()
    if folder:
        comfyui.at(Path(folder).expanduser())
    delivery.write(desk.session.root, Delivery(folder, automatic))


def state(desk: Desk) -> str:
    """In a few words, for the heading."""
    if folder := delivery.read(desk.session.root).folder:
        return folder
    found = comfyui.installs()
    return f"found ({found[0].title})" if found else wording.NO_COMFYUI


def installs() -> str:
    """Every ComfyUI on this computer, with its folder for LoRAs."""
    found = comfyui.installs()
    if not found:
        return markup.quiet(wording.COMFYUI_NONE)
    rows = (
        [markup.text(one.title), f"<code>{markup.text(one.loras)}</code>", markup.text(one.address or "–")]
        for one in found
    )
    table = markup.table("Found on this computer", ("Program", "Folder for LoRAs", "Running at"), rows)
    return table + markup.quiet(wording.COMFYUI_FOUND)

"""One picture with its caption, and what is done to all captions at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import gradio as gr

from tuner.dataset import caption_files, undo
from tuner.settings.request import FLORENCE, INSTRUCTIONS, CaptionRequest
from tuner.ui import markup, pictures, wording
from tuner.ui.desk import Desk
from tuner.ui.thumbnails import Shown


class Editor(NamedTuple):
    """`picked` is the path of the picture that this browser tab edits; `ended` counts what went on beside the
    page and is done: captioners, and looks at many pictures.
    """

    picked: gr.Textbox
    about: gr.HTML
    caption: gr.Textbox
    leave: gr.Button
    previous: gr.Button
    following: gr.Button
    undo: gr.Button
    trigger: gr.Button
    find: gr.Textbox
    by: gr.Textbox
    replace: gr.Button
    model: gr.Textbox
    instruction: gr.Dropdown
    every: gr.Checkbox
    write: gr.Button
    stop: gr.Button
    progress: gr.HTML
    ended: gr.Textbox

    @property
    def one(self) -> list[Any]:
        """What `show` fills."""
        return [self.picked, self.about, self.caption, self.leave]

    @property
    def asked(self) -> list[Any]:
        """What `write_captions` takes."""
        return [self.model, self.instruction, self.every]

    @property
    def quick(self) -> list[Any]:
        """What `progress` fills."""
        return [self.progress, self.write, self.stop, self.ended]


def build() -> Editor:
    small: dict[str, Any] = {"size": "sm", "min_width": 90}
    parts: dict[str, Any] = {"picked": gr.Textbox(visible="hidden", label="Picture shown")}
    parts["about"] = markup.region("picked", value=markup.quiet(wording.PICK))
    parts["caption"] = gr.Textbox(label="Caption", info=wording.CAPTION_HELP, lines=4, interactive=False)
    with gr.Row():
        parts["previous"] = gr.Button("Previous", **small)
        parts["following"] = gr.Button("Next", **small)
        parts["leave"] = gr.Button("Leave out", interactive=False, **small)
    with gr.Row():
        parts["trigger"] = gr.Button("Add trigger to all", **small)
        parts["undo"] = gr.Button("Undo", interactive=False, **small)
    with gr.Accordion("Find and replace", open=False):
        with gr.Row():
            parts["find"] = gr.Textbox(label="Find", min_width=120)
            parts["by"] = gr.Textbox(label="Replace by", min_width=120)
        parts["replace"] = gr.Button("Replace in all captions", **small)
    with gr.Accordion("Let a model write captions", open=False):
        parts |= _captioner(small)
    return Editor(**parts)


def _captioner(small: dict[str, Any]) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "model": gr.Textbox(FLORENCE, label="Florence-2", info=wording.CAPTIONER_HELP),
        "instruction": gr.Dropdown(
            list(INSTRUCTIONS),
            value="in detail",
            label="How",
            info=wording.INSTRUCTION_HELP,
            allow_custom_value=True,
        ),
        "every": gr.Checkbox(label="Also where there is a caption already"),
    }
    with gr.Row():
        parts["write"] = gr.Button("Caption the empty ones", **small)
        parts["stop"] = gr.Button("Stop captioning", interactive=False, **small)
    parts["progress"] = markup.region("captioning")
    parts["ended"] = gr.Textbox("0.0", visible="hidden", label="Work that ended")
    return parts


def show(desk: Desk, path: str) -> list[Any]:
    """The values of `Editor.one`; of a picture that is gone, empty ones."""
    found = next((one for one in pictures.shown(desk) if str(one.path) == path), None)
    return _shown(desk, found) if found else empty()


def empty() -> list[Any]:
    nothing = gr.update(value="", interactive=False)
    return ["", markup.quiet(wording.PICK), nothing, gr.update(value="Leave out", interactive=False)]


def _shown(desk: Desk, one: Shown) -> list[Any]:
    source = pictures.captioned_by(desk, one)
    text = caption_files.text_of(one.path).strip() if source == pictures.FILES else one.caption
    state = "" if one.used else " (left out)"
    small = f'<img src="{desk.small.address(one)}" alt="{markup.text(one.path.name)}">'
    about = f'<p class="picked">{markup.text(one.path.name)}{state}</p>{small}'
    taken_back = gr.update(value="Take it back" if one.is_chosen else "Leave out", interactive=True)
    return [
        str(one.path),
        about + markup.quiet(wording.CAPTION_SOURCES.get(source, wording.NO_CAPTION_FILES)),
        gr.update(value=text, interactive=source in wording.CAPTION_SOURCES),
        taken_back,
    ]


def turn(desk: Desk, path: str, by: int) -> list[Any]:
    """The next picture, or the one before; behind the last comes the first."""
    found = pictures.shown(desk)
    here = next((number for number, one in enumerate(found) if str(one.path) == path), -max(by, 0))
    return _shown(desk, found[(here + by) % len(found)]) if found else empty()


def save(desk: Desk, path: str, text: str) -> bool:
    """False where nothing is changed by it."""
    return bool(path) and pictures.save_caption(desk, pictures.picked(desk, path), text)


def undo_button(desk: Desk) -> Any:
    title = undo.last(desk.undo_folder)
    return gr.update(value=f"Undo: {title}" if title else "Undo", interactive=title is not None)


def write_captions(desk: Desk, model: str, instruction: str, every: bool) -> None:
    trigger = desk.draft.settings.trigger
    request = CaptionRequest(model.strip(), INSTRUCTIONS.get(instruction, instruction), trigger)
    pictures.caption(desk, request, every)


def progress(desk: Desk) -> list[Any]:
    """The values of `Editor.quick`."""
    at = desk.captioning
    can_stop = at.going and not at.stopping
    return [
        _progress(desk),
        gr.update(interactive=not at.going),
        gr.update(interactive=can_stop),
        f"{at.num_ended}.{desk.draft.num_looks}",
    ]


def _progress(desk: Desk) -> str:
    at = desk.captioning
    said = wording.captioning(at.going, at.done, at.total, at.num_ended)
    if not said:
        return ""
    bar = markup.bar("Captions", at.done, at.total) if at.going else ""
    return markup.quiet(said) + bar

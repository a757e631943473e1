"""What to learn from: the folder, its pictures with their captions, and what was left out and why."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

import gradio as gr
from PIL import Image, ImageDraw, ImageOps

from tuner.dataset.index import DatasetIndex, Picture
from tuner.errors import TunerError
from tuner.ui import markup, wording
from tuner.ui.desk import Desk

THUMBNAIL_PX = 512
MAX_PICTURES = 100


class ImagesTab(NamedTuple):
    """`seen` says which state of the recipe this browser tab shows."""

    seen: gr.Textbox
    folder: gr.Textbox
    trigger: gr.Textbox
    look: gr.Button
    summary: gr.HTML
    gallery: gr.Gallery
    left_out: gr.HTML

    @property
    def shown(self) -> list[Any]:
        """What `show` fills."""
        return [self.seen, self.folder, self.trigger, self.summary, self.gallery, self.left_out]


def build() -> ImagesTab:
    """Nothing can be typed before the page is filled: the answer on its way would overwrite it."""
    waiting = {"interactive": False}
    seen = gr.Textbox(visible="hidden", label="Pictures shown")
    with gr.Row(equal_height=False):
        folder = gr.Textbox(
            label="Folder with pictures", info=wording.FOLDER_HELP, scale=3, min_width=260, **waiting
        )
        trigger = gr.Textbox(
            label="Trigger word", info=wording.TRIGGER_HELP, scale=2, min_width=200, **waiting
        )
    look = gr.Button("Look again", size="sm", scale=0, min_width=140)
    summary = markup.region("summary")
    gallery = gr.Gallery(
        label="Pictures",
        columns=5,
        height="auto",
        object_fit="contain",
        interactive=False,
        buttons=["fullscreen"],
        elem_id="pictures",
    )
    left_out = markup.region("left-out")
    return ImagesTab(seen, folder, trigger, look, summary, gallery, left_out)


def show(desk: Desk) -> list[Any]:
    """The values of `ImagesTab.shown`."""
    seen = desk.recipe_stamp
    folder = gr.update(value=desk.pictures_folder, interactive=True)
    trigger = gr.update(value=desk.settings.trigger, interactive=True)
    try:
        index = desk.index()
    except TunerError as error:
        return [seen, folder, trigger, markup.problem(error), [], ""]
    shown = [(str(thumbnail(one, desk.thumbnails)), _caption(one)) for one in index.pictures[:MAX_PICTURES]]
    return [seen, folder, trigger, summary(index), shown, left_out(index)]


def refresh(desk: Desk, seen: str) -> Any:
    """Nothing where this browser tab is up to date: what is being typed stays."""
    return gr.skip() if seen == desk.recipe_stamp else show(desk)


def look_again(desk: Desk) -> list[Any]:
    desk.look_again()
    return show(desk)


def use_folder(desk: Desk, folder: str) -> Any:
    """Learn from another folder; nothing happens where it is the same one."""
    if folder.strip() == desk.pictures_folder:
        return gr.skip()
    desk.use_folder(folder.strip())
    return show(desk)


def use_trigger(desk: Desk, trigger: str) -> Any:
    if trigger.strip() == desk.settings.trigger:
        return gr.skip()
    desk.use_trigger(trigger.strip())
    return show(desk)


def summary(index: DatasetIndex) -> str:
    pictures = index.pictures
    captioned = sum(any(one.captions) for one in pictures)
    buckets = len({(one.dataset, one.aspect_bucket) for one in pictures})
    said = wording.images_sentence(len(pictures), captioned, buckets, len(index.left_out))
    more = f" The first {MAX_PICTURES} are shown." if len(pictures) > MAX_PICTURES else ""
    return markup.sentence(f"{said}.{more}")


def left_out(index: DatasetIndex) -> str:
    """A table of the files that are not used, each with its reason, and one of those that are odd."""
    reasons = [(one.path, one.reason) for one in index.left_out]
    remarks = [(one.path, remark) for one in index.pictures for remark in one.remarks]
    return _files("Left out", "Why", reasons) + _files("Worth a look", "What", remarks)


def _files(title: str, what: str, sentences: list[tuple[Path, str]]) -> str:
    rows = ((markup.text(path), markup.text(sentence)) for path, sentence in sentences)
    return markup.table(title, ("File", what), rows) if sentences else ""


def thumbnail(picture: Picture, folder: Path) -> Path:
    """A small copy with the crop box on it, made once for each content of a file and each box, and served
    instead of the picture itself.
    """
    box = picture.crop_box
    path = folder / f"{picture.content}{''.join(f'-{edge:.4f}' for edge in box or ())}.webp"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with Image.open(picture.path) as opened:
            opened.draft("RGB", (THUMBNAIL_PX, THUMBNAIL_PX))
            small = ImageOps.exif_transpose(opened).convert("RGB")
        small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        if box:
            small = _boxed(small, box)
        with NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as beside:
            small.save(beside, "WEBP", quality=90)
        os.replace(beside.name, path)
    return path


def _boxed(small: Image.Image, box: tuple[float, float, float, float]) -> Image.Image:
    """What is not trained on is darkened."""
    left, top, right, bottom = (
        round(edge * length) for edge, length in zip(box, 2 * small.size, strict=True)
    )
    boxed = Image.eval(small, lambda value: value // 3)
    boxed.paste(small.crop((left, top, right, bottom)), (left, top))
    ImageDraw.Draw(boxed).rectangle((left, top, right - 1, bottom - 1), outline="white")
    return boxed


def _caption(picture: Picture) -> str:
    return picture.captions[0] if picture.captions else picture.path.name

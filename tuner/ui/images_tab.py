"""What to learn from: the folder, its pictures with their captions, and what was left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from tuner.dataset import doctor, mending
from tuner.dataset.doctor import Finding
from tuner.errors import TunerError
from tuner.ui import editor, form, gallery, markup, pictures, wording
from tuner.ui.acting import Acting
from tuner.ui.desk import Desk
from tuner.ui.looking import StillLooking
from tuner.ui.sentence import sentence

MAX_FINDINGS = 200


class ImagesTab(NamedTuple):
    """`seen` says which state of the recipe this browser tab shows."""

    seen: gr.Textbox
    drop: gr.File
    arrived: gr.HTML
    folder: gr.Textbox
    trigger: gr.Textbox
    look: gr.Button
    summary: gr.HTML
    looking: gr.HTML
    ready: gr.HTML
    start: gr.Button
    gallery: gr.HTML
    editor: editor.Editor
    findings: gr.HTML

    @property
    def shown(self) -> list[Any]:
        """What `show` fills."""
        return [self.seen, self.folder, self.trigger, *self.found]

    @property
    def found(self) -> list[Any]:
        """What `found` fills: nothing that the user may be typing into."""
        return [self.summary, self.ready, self.start, self.gallery, self.findings, self.editor.undo]

    @property
    def quick(self) -> list[Any]:
        """What `progress` fills."""
        return [self.looking, *self.editor.quick]

    @property
    def typed(self) -> list[Any]:
        """What `take_typed` takes."""
        return [self.folder, self.trigger, self.editor.picked, self.editor.caption]


def build() -> ImagesTab:
    """Nothing can be typed before the page is filled: the answer on its way would overwrite it."""
    waiting = {"interactive": False}
    seen = gr.Textbox(visible="hidden", label="Pictures shown")
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=220):
            drop = gr.File(label=wording.DROP, file_count="multiple", height=170)
            arrived = markup.region("arrived")
        with gr.Column(scale=3, min_width=260):
            folder = gr.Textbox(label="Folder with pictures", info=wording.FOLDER_HELP, **waiting)
            trigger = gr.Textbox(label="Trigger word", info=wording.TRIGGER_HELP, **waiting)
            look = gr.Button("Look again", size="sm", scale=0, min_width=140)
    summary, looking = markup.region("summary"), markup.region("looking")
    with gr.Row(elem_id="ready-row"):
        ready = markup.region("ready")
        start = gr.Button(wording.START, variant="primary", scale=0, elem_id="train-here", **waiting)
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=300):
            shown = markup.region("pictures", acts=True)
        with gr.Column(scale=2, min_width=280):
            edited = editor.build()
    findings = markup.region("findings", acts=True)
    return ImagesTab(
        seen, drop, arrived, folder, trigger, look, summary, looking, ready, start, shown, edited, findings
    )


def tie(tab: ImagesTab, desk: Desk, act: Acting, opened: Any, tabs: gr.Tabs) -> None:
    """`opened` is the event that this tab is opened."""
    one, look = tab.editor, partial(act.slowly, tab.gallery)
    changed = [*tab.shown, *one.one]
    look(opened, partial(refresh, desk), tab.seen, tab.shown)
    look(tab.look.click, lambda: look_again(desk), None, tab.shown)
    look(form.left(tab.folder), partial(use_folder, desk), tab.folder, tab.shown)
    look(form.left(tab.trigger), partial(use_trigger, desk), tab.trigger, tab.shown)
    look(tab.drop.upload, partial(take_in, desk), tab.drop, [tab.drop, tab.arrived, *tab.shown])
    look(one.ended.change, partial(captioned, desk), [tab.seen, one.picked], [tab.seen, *tab.found, *one.one])
    act.word(tab.gallery.click, partial(editor.show, desk), one.one)
    act.on(one.previous.click, lambda path: editor.turn(desk, path, -1), one.picked, one.one)
    act.on(one.following.click, lambda path: editor.turn(desk, path, 1), one.picked, one.one)
    act.on(form.left(one.caption), partial(save, desk), [one.picked, one.caption], tab.found)
    act.on(one.leave.click, partial(leave, desk), one.picked, changed)
    act.on(one.trigger.click, partial(add_trigger, desk), one.picked, changed)
    act.on(one.replace.click, partial(replace, desk), [one.picked, one.find, one.by], changed)
    act.on(one.undo.click, partial(undo, desk), one.picked, changed)
    act.on(one.write.click, partial(editor.write_captions, desk), one.asked)
    act.on(one.stop.click, desk.captioning.stop)
    look(tab.start.click, partial(start, desk), tab.typed, [tabs, *tab.shown])
    act.word(tab.findings.click, lambda word: mend(desk, word), tab.shown)


def show(desk: Desk) -> list[Any]:
    """The values of `ImagesTab.shown`."""
    folder = gr.update(value=desk.draft.pictures_folder, interactive=True)
    trigger = gr.update(value=desk.draft.settings.trigger, interactive=True)
    return [desk.draft.stamp, folder, trigger, *found(desk)]


def found(desk: Desk) -> list[Any]:
    """The values of `ImagesTab.found`."""
    undoing, cannot = editor.undo_button(desk), gr.update(interactive=False)
    try:
        tiles = pictures.shown(desk)
        told = desk.draft.findings()
    except StillLooking:
        return [markup.sentence(wording.LOOKING), "", cannot, "", "", undoing]
    except TunerError as error:
        said = markup.sentence(wording.NO_PICTURES) if pictures.are_to_come(desk) else markup.problem(error)
        return [said, "", cannot, "", "", undoing]
    shown = gallery.tiles(tiles, told, desk.small)
    return [summary(desk), *ready(desk), shown, findings(told), undoing]


def ready(desk: Desk) -> list[Any]:
    """What a run with these pictures comes to, and whether it can start."""
    try:
        desk.draft.plan()
    except TunerError:
        return ["", gr.update(interactive=False)]
    return [sentence(desk), gr.update(interactive=True)]


def progress(desk: Desk) -> list[Any]:
    """The values of `ImagesTab.quick`."""
    done, total = desk.draft.looking.progress or (0, 0)
    looking = markup.bar(wording.LOOKING, done, total, wording.looked_at(done, total)) if total else ""
    said = markup.quiet(wording.looked_at(done, total)) if total else ""
    return [said + looking, *editor.progress(desk)]


def start(desk: Desk, *typed: str) -> list[Any]:
    """With the recipe as it is."""
    take_typed(desk, *typed)
    desk.start()
    return [gr.Tabs(selected="train"), *show(desk)]


def begin_next(desk: Desk) -> list[Any]:
    """This tab for the pictures of another LoRA."""
    pictures.begin_next(desk)
    return [gr.Tabs(selected="images"), *show(desk), *editor.empty()]


def take_typed(desk: Desk, folder: str, trigger: str, path: str, caption: str) -> None:
    """Carry over what was typed; a click elsewhere may come in before the word that a field was left."""
    if folder.strip() != desk.draft.pictures_folder:
        pictures.use_folder(desk, folder.strip())
    if trigger.strip() != desk.draft.settings.trigger:
        desk.draft.use_trigger(trigger.strip())
    if path and caption.strip():
        editor.save(desk, path, caption)


def refresh(desk: Desk, seen: str) -> Any:
    """Nothing where this browser tab is up to date: what is being typed stays."""
    return gr.skip() if seen == desk.draft.stamp else show(desk)


def look_again(desk: Desk) -> list[Any]:
    desk.draft.look_again()
    return show(desk)


def after(desk: Desk, path: str) -> list[Any]:
    """Everything, with the picture that is being edited, after captions were changed."""
    return [*show(desk), *editor.show(desk, path)]


def captioned(desk: Desk, seen: str, path: str) -> Any:
    """A captioner has ended; a page that was loaded since then knows what it made."""
    if seen == desk.draft.stamp:
        return gr.skip()
    return [desk.draft.stamp, *found(desk), *editor.show(desk, path)]


def take_in(desk: Desk, files: list[str] | None) -> Any:
    taken = pictures.take_in(desk, [Path(one) for one in files or ()])
    said = wording.taken(len(taken.pictures), len(taken.captions), taken.left_out)
    return [None, markup.sentence(said), *show(desk)]


def save(desk: Desk, path: str, text: str) -> Any:
    return found(desk) if editor.save(desk, path, text) else gr.skip()


def leave(desk: Desk, path: str) -> Any:
    pictures.leave_out_or_take_back(desk, pictures.picked(desk, path))
    return after(desk, path)


def add_trigger(desk: Desk, path: str) -> list[Any]:
    gr.Info(wording.changed(pictures.add_trigger(desk)))
    return after(desk, path)


def replace(desk: Desk, path: str, find: str, by: str) -> list[Any]:
    gr.Info(wording.changed(pictures.replace(desk, find, by)))
    return after(desk, path)


def undo(desk: Desk, path: str) -> list[Any]:
    undone = pictures.take_back(desk)
    gr.Info(wording.undone(undone.title, len(undone.kept)))
    return after(desk, path)


def mend(desk: Desk, word: str) -> list[Any]:
    """A button of the doctor's table."""
    fix, _, file = word.partition(":")
    pictures.mend(desk, fix, file)
    return show(desk)


def use_folder(desk: Desk, folder: str) -> Any:
    """Learn from another folder; nothing happens where it is the same one."""
    if folder.strip() == desk.draft.pictures_folder:
        return gr.skip()
    pictures.use_folder(desk, folder.strip())
    return show(desk)


def use_trigger(desk: Desk, trigger: str) -> Any:
    if trigger.strip() == desk.draft.settings.trigger:
        return gr.skip()
    desk.draft.use_trigger(trigger.strip())
    return show(desk)


def summary(desk: Desk) -> str:
    """How many there are; in red what keeps a run from using them."""
    scanned = desk.draft.scanned()
    used = [one for each in scanned for one in each.pictures]
    left_out = [one for each in scanned for one in each.left_out]
    buckets = len({(one.dataset, one.aspect_bucket) for one in used})
    said = wording.images_sentence(len(used), len(used), buckets, len(left_out))
    try:
        desk.draft.index()
    except TunerError as error:
        return markup.problem(error)
    return markup.sentence(f"{said}.")


def findings(found: Sequence[Finding]) -> str:
    """What is left out, and what the doctor says of the rest, each with the button that mends it."""
    return _table("Left out", [one for one in found if one.left_out]) + _table(
        "Worth a look", [one for one in found if not one.left_out]
    )


def _table(title: str, found: Sequence[Finding]) -> str:
    rows = [
        (markup.text(one.file), f"{markup.text(one.sentence)} {_button(one)}") for one in found[:MAX_FINDINGS]
    ]
    more = markup.quiet(f"And {len(found) - MAX_FINDINGS} more.") if len(found) > MAX_FINDINGS else ""
    return markup.table(title, ("File", "What"), rows) + more + _buttons_for_all(found) if rows else ""


def _buttons_for_all(found: Sequence[Finding]) -> str:
    """For what is safe to do without a look at each."""
    numbers = Counter(one.fix for one in found if one.fix in doctor.CAPTION_FIXES)
    return "".join(
        markup.button(f"{fix}:", f"{mending.FIXES[fix].label}: all {number}")
        for fix, number in numbers.items()
        if number > 1
    )


def _button(one: Finding) -> str:
    if not one.fix:
        return ""
    label = mending.FIXES[one.fix].label
    return markup.button(f"{one.fix}:{one.file}", label, said=f"{label}: {Path(one.file).name}")

"""The expert fold of a recipe: every setting, the files themselves, loading, presets of one's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from tuner import files
from tuner.files import config_json, five
from tuner.files.documents import read_text
from tuner.settings.fields import Spec
from tuner.settings.run import RunSettings
from tuner.ui import form, markup
from tuner.ui import recipe_words as words
from tuner.ui.acting import Acting
from tuner.ui.desk import Desk
from tuner.ui.trouble import guarded

MAX_FOUND = 20
Outlook = Callable[[Desk], list[Any]]


class Expert(NamedTuple):
    """`seen` is the state of the recipe whose file `text` shows."""

    differs: gr.HTML
    search: gr.Textbox
    sections: tuple[gr.Accordion, ...]
    view: gr.Accordion
    seen: gr.Textbox
    file: gr.Radio
    text: gr.Textbox
    use: gr.Button
    load: gr.File
    folder: gr.Textbox
    loaded: gr.HTML
    name: gr.Textbox
    save: gr.Button

    @property
    def shut(self) -> list[Any]:
        """What is closed and emptied by `shut_values`, because its fields show another recipe."""
        return [self.search, *self.sections, self.view]


def build(desk: Desk, outlook: Outlook, outputs: list[Any]) -> Expert:
    """A change gives the values of `outputs` and of `Expert.differs`, which `outlook` returns."""
    with gr.Accordion("Expert", open=False):
        markup.region("expert", value=markup.quiet(words.EXPERT))
        differs = markup.region("differs")
        hears = partial(_hears, desk, outlook, [*outputs, differs])
        search = gr.Textbox(label="Find a setting", info=words.SEARCH_HELP, elem_id="find")
        _found(search, desk, hears)
        sections = tuple(_section(name, desk, hears) for name in form.SECTIONS)
        with gr.Accordion("The files", open=False) as view:
            seen = gr.Textbox(visible="hidden", label="Files shown")
            file = gr.Radio(label="File", info=words.FILES_HELP)
            text = gr.Textbox(label="Its text", lines=12, max_lines=30, elem_id="file-text")
            use = gr.Button("Use this text", size="sm", scale=0, min_width=160)
        with gr.Accordion("Load", open=False):
            load = gr.File(label=words.LOAD_HELP, file_count="multiple", height=140, elem_id="load")
            folder = gr.Textbox(label="Folder with the files", info=words.LOAD_FOLDER_HELP)
            loaded = markup.region("loaded")
        with gr.Accordion("Save as my preset", open=False):
            name = gr.Textbox(label="Name of the preset", info=words.SAVE_PRESET_HELP)
            save = gr.Button("Save as my preset", size="sm", scale=0, min_width=160, elem_id="save-preset")
    return Expert(differs, search, sections, view, seen, file, text, use, load, folder, loaded, name, save)


def _hears(desk: Desk, outlook: Outlook, outputs: list[Any], specs: tuple[Spec, ...]) -> None:
    """Fields for settings, whose changes come into the recipe when they are left."""

    def edited(spec: Spec, raw: object) -> list[Any]:
        desk.draft.change(form.change(spec, raw, desk.draft.settings))
        return outlook(desk)

    settings, preset = desk.draft.settings, desk.draft.preset_settings
    for spec in specs:
        form.listen(form.field(spec, settings, preset), spec, guarded(desk, edited), outputs)


def _section(section: str, desk: Desk, hears: Callable[[tuple[Spec, ...]], None]) -> gr.Accordion:
    """One group of settings; its fields are made when it is opened, which keeps the page light."""
    with gr.Accordion(form.SECTIONS[section], open=False, elem_classes="settings") as accordion:
        gr.render(triggers=[accordion.expand])(
            lambda: hears(form.section_specs(section, desk.draft.settings))
        )
    return accordion


def _found(search: gr.Textbox, desk: Desk, hears: Callable[[tuple[Spec, ...]], None]) -> None:
    def fields(asked: str) -> None:
        if not asked.strip():
            return
        found = form.found(asked, desk.draft.settings)
        gr.HTML(markup.sentence(words.found(len(found), MAX_FOUND)), apply_default_css=False)
        with gr.Group(elem_classes="settings"):
            hears(found[:MAX_FOUND])

    gr.render(inputs=[search], triggers=[search.change], show_progress="hidden")(fields)


def shut_values() -> list[Any]:
    """The values of `Expert.shut`."""
    return ["", *(gr.Accordion(open=False) for _ in range(len(form.SECTIONS) + 1))]


def tie(expert: Expert, desk: Desk, act: Acting, anew: Outlook, shown: list[Any]) -> None:
    """`anew` gives the values of `shown`, all of the tab."""
    view = [expert.seen, expert.file, expert.text]
    act.on(expert.view.expand, partial(show_file, desk), expert.file, view)
    act.on(expert.file.input, partial(show_file, desk), expert.file, view)

    def used(seen: str, name: str, text: str) -> list[Any]:
        if seen != desk.draft.stamp:
            gr.Info(words.FILES_CHANGED)
        else:
            _adopt(desk, files.overlaid(desk.draft.settings, {name: text}))
        return [*show_file(desk, name), *anew(desk)]

    def loaded(paths: list[str] | None) -> list[Any]:
        texts = {Path(path).name: read_text(Path(path)) for path in paths or ()}
        return [_adopt(desk, files.overlaid(desk.draft.settings, texts)), None, *anew(desk)]

    def opened(folder: str) -> Any:
        if not folder.strip():
            return gr.skip()
        return [_adopt(desk, files.load_all(Path(folder.strip()))), "", *anew(desk)]

    def saved(name: str) -> list[Any]:
        gr.Info(f"Saved as “{desk.draft.save_preset(name)}”.")
        return ["", *anew(desk)]

    act.on(expert.use.click, used, view, [*view, *shown])
    act.on(expert.load.upload, loaded, expert.load, [expert.loaded, expert.load, *shown])
    act.on(expert.folder.submit, opened, expert.folder, [expert.loaded, expert.folder, *shown])
    for event in (expert.save.click, expert.name.submit):
        act.on(event, saved, expert.name, [expert.name, *shown])


def show_file(desk: Desk, name: str | None) -> list[Any]:
    """The state of the recipe, the names of its files, and the text of one of them."""
    texts = dict(
        sorted(five.texts_of(desk.draft.settings).items(), key=lambda one: one[0] != config_json.NAME)
    )
    name = name if name in texts else config_json.NAME
    return [desk.draft.stamp, gr.update(choices=list(texts), value=name), texts[name]]


def _adopt(desk: Desk, loaded: files.Loaded) -> str:
    """The recipe is what was loaded, under a name like its own; -> what there is to say about it."""
    desk.draft.adopt(loaded.settings, Path(loaded.settings.saving.output_dir).name or "recipe")
    notes = "".join(f"<li>{markup.text(note)}</li>" for note in loaded.notes)
    return markup.sentence(words.LOADED) + (f"<ul>{notes}</ul>" if notes else "")


def differences(settings: RunSettings, preset: RunSettings) -> str:
    """The settings that are not the preset's, old and new value."""
    changed = form.differing(settings, preset)
    if not changed:
        return markup.quiet(words.AS_PRESET)
    rows = (
        [markup.text(s.label), _shown(form.value_of(preset, s)), _shown(form.value_of(settings, s))]
        for s in changed
    )
    return markup.table("Changed from the preset", ("Setting", "Preset", "Now"), rows)


def _shown(value: object) -> str:
    return markup.text("–" if value is None else form.shown(value))

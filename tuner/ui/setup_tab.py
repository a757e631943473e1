"""What this computer has and lacks, versions, where files lie, and what may be cleared."""

from __future__ import annotations

import importlib.metadata
import platform
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

import tuner
from tuner import machine
from tuner.machine import GB
from tuner.quantization import store_folder, tried
from tuner.ui import base_model, comfy_part, doctor_table, markup, wording
from tuner.ui.acting import Acting
from tuner.ui.base_model import BaseModelPart, Models
from tuner.ui.comfy_part import ComfyPart
from tuner.ui.desk import Desk

PACKAGES = ("torch", "diffusers", "transformers", "peft", "gradio")
LAST = len(wording.STEPS) - 1


class SetupTab(NamedTuple):
    """`steps` are the three headings with what is below them, `following` the button at the end of each."""

    welcome: gr.HTML
    steps: tuple[gr.Accordion, ...]
    following: tuple[gr.Button, ...]
    findings: gr.HTML
    again: gr.Button
    trying: gr.Button
    tried: gr.HTML
    model: BaseModelPart
    comfyui: ComfyPart
    places: gr.HTML
    clear: gr.Button

    @property
    def headings(self) -> list[Any]:
        """What `headings` fills."""
        return [self.welcome, *self.steps, *self.following]

    @property
    def shown(self) -> list[Any]:
        """What `show` fills."""
        return [*self.headings, self.findings, *self.model.shown, *self.comfyui, self.places]


def build() -> SetupTab:
    small: dict[str, Any] = {"size": "sm", "scale": 0}
    steps, following = [], []
    welcome = markup.region("welcome")
    for number, title in enumerate(wording.STEPS):
        with gr.Accordion(title, elem_id=f"step-{number + 1}") as step:
            if number == 0:
                findings = markup.region("doctor", acts=True)
                with gr.Row():
                    again = gr.Button("Check again", min_width=140, **small)
                    trying = gr.Button("Try quantized layers", min_width=180, **small)
                tried_layers = markup.region("tried", acts=True)
            elif number == 1:
                model = base_model.build()
            else:
                found = comfy_part.build()
            label = wording.TO_PICTURES if number == LAST else f"Next: {wording.STEPS[number + 1]}"
            following.append(gr.Button(label, variant="primary", visible=False))
        steps.append(step)
    with gr.Accordion("About: versions, folders, kept weights", open=False):
        places = markup.region("places")
        clear = gr.Button("Clear the kept weights", min_width=200, **small)
    return SetupTab(
        welcome, tuple(steps), tuple(following), findings, again, trying, tried_layers, model, found, places,
        clear,
    )  # fmt: skip


def tie(tab: SetupTab, desk: Desk, act: Acting, opened: Any, tabs: gr.Tabs) -> None:
    """`opened` is the event that this tab is opened."""
    models = Models()
    moved = partial(headings, desk, models)
    for event in (opened, tab.again.click):
        act.on(event, partial(show, desk, models), None, tab.shown)
    for number, button in enumerate(tab.following):
        act.on(button.click, partial(go_on, desk, models, number), None, [tabs, *tab.headings])
    act.on(tab.clear.click, partial(clear, desk, models), None, tab.shown)
    act.slowly(tab.tried, tab.trying.click, try_layers, None, tab.tried)
    act.slowly(tab.tried, opened, partial(try_first, desk), None, tab.tried)
    base_model.tie(tab.model, desk, act, opened, models, tab.headings, moved)
    comfy_part.tie(tab.comfyui, desk, act, tab.headings, moved)


def show(desk: Desk, models: Models) -> list[Any]:
    """The values of `SetupTab.shown`; at the very first start models are looked for without being asked."""
    if desk.walking is not None and models.found is None:
        base_model.look(models, "")
    findings = doctor_table.table(machine.doctor(desk.session.root), "What this computer has")
    about = _versions() + _places(desk) + kept_weights()
    return [
        *headings(desk, models), findings, *base_model.show(desk, models), *comfy_part.show(desk), about
    ]  # fmt: skip


def headings(desk: Desk, models: Models) -> list[Any]:
    """The values of `SetupTab.headings`. At the very first start one step is open at a time: the first that
    is not done. Later a plain page: what is open or closed stays so.
    """
    states = (_computer(desk), base_model.state(desk, models), (True, comfy_part.state(desk)))
    if desk.walking is not None:
        done = [state for state, _ in states[:LAST]]
        desk.walking = next((n for n in range(desk.walking, LAST) if not done[n]), LAST)
    labels = [_label(number, *state) for number, state in enumerate(states)]
    welcome = "" if desk.walking is None else markup.sentence(wording.WELCOME)
    walks = [gr.update(visible=number == desk.walking) for number in range(len(labels))]
    if desk.walking is None:
        return [welcome, *(gr.update(label=label) for label in labels), *walks]
    steps = (gr.update(label=label, open=number == desk.walking) for number, label in enumerate(labels))
    return [welcome, *steps, *walks]


def _label(number: int, done: bool, state: str) -> str:
    """`✓ 3. ComfyUI: found (ComfyUI portable)`; a step that needs the user has no tick."""
    said = f"{number + 1}. {wording.STEPS[number]}: {state}"
    return f"✓ {said}" if done else f"● {said} (needs you)"


def go_on(desk: Desk, models: Models, number: int) -> list[Any]:
    """From a step to the next, whatever is left undone; behind the last come the pictures."""
    desk.walking = None if number == LAST else number + 1
    there = gr.Tabs(selected="images") if number == LAST else gr.skip()
    return [there, *headings(desk, models)]


def _computer(desk: Desk) -> tuple[bool, str]:
    bad = [one for one in machine.doctor(desk.session.root) if one.state == "bad"]
    if bad:
        return False, wording.count(len(bad), "thing") + " to mend"
    return True, machine.read().gpu_name or wording.NO_CARD


def try_layers() -> str:
    """Quantized layers, computed for real; takes some seconds."""
    return doctor_table.table(tried.findings(), "Quantized layers")


def try_first(desk: Desk) -> Any:
    """At the very first start, without being asked."""
    return gr.skip() if desk.walking is None else try_layers()


def clear(desk: Desk, models: Models) -> list[Any]:
    """Deletes the kept weights, and shows the tab again."""
    store_folder.clear()
    return show(desk, models)


def kept_weights() -> str:
    """How much disk the quantized models take that wait for the next start."""
    kept = f"<code>{markup.text(store_folder.folder())}</code>: {store_folder.num_bytes() / GB:.1f} GB"
    return f"<p>{markup.text(wording.KEPT_WEIGHTS)} {kept}.</p>"


def _versions() -> str:
    rows = [("FluxTuner", tuner.__version__), ("Python", platform.python_version())]
    rows += [(name, _version(name)) for name in PACKAGES]
    return markup.table(
        "Versions", ("Program", "Version"), ([markup.text(a), markup.text(b)] for a, b in rows)
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _places(desk: Desk) -> str:
    here = Path(tuner.__file__).parents[1]
    places = (
        ("Program", here),
        ("Runs", desk.runs),
        ("Presets", here / "presets"),
        ("Recipe in progress", desk.draft.folder),
    )
    rows = ([markup.text(name), f"<code>{markup.text(path.resolve())}</code>"] for name, path in places)
    return markup.table("Where files lie", ("What", "Folder"), rows)

"""What this computer has and lacks, versions, where files lie, and what may be cleared."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path
from typing import NamedTuple

import gradio as gr

import tuner
from tuner import machine
from tuner.export import comfyui
from tuner.machine import GB, Finding
from tuner.quantization import store_folder, tried
from tuner.ui import base_model, markup, wording
from tuner.ui.base_model import BaseModelPart
from tuner.ui.desk import Desk

PACKAGES = ("torch", "diffusers", "transformers", "peft", "gradio")


class SetupTab(NamedTuple):
    findings: gr.HTML
    again: gr.Button
    trying: gr.Button
    tried: gr.HTML
    model: BaseModelPart
    comfyui: gr.HTML
    places: gr.HTML
    clear: gr.Button

    @property
    def shown(self) -> list[gr.HTML]:
        """What `show` fills."""
        return [self.findings, self.model.chosen, self.comfyui, self.places]


def build() -> SetupTab:
    _step("welcome", "", wording.WELCOME)
    _step("step-1", "1. Your computer")
    findings = markup.region("doctor")
    with gr.Row():
        again = gr.Button("Check again", size="sm", scale=0, min_width=140)
        trying = gr.Button("Try quantized layers", size="sm", scale=0, min_width=180)
    tried_layers = markup.region("tried")
    _step("step-2", "2. Base model")
    model = base_model.build()
    _step("step-3", "3. ComfyUI")
    found = markup.region("comfyui")
    _step("about", "About")
    places = markup.region("places")
    clear = gr.Button("Clear the kept weights", size="sm", scale=0, min_width=200)
    return SetupTab(findings, again, trying, tried_layers, model, found, places, clear)


def _step(name: str, title: str, said: str = "") -> None:
    heading = f"<h2>{markup.text(title)}</h2>" if title else ""
    markup.region(name, value=heading + (markup.quiet(said) if said else ""))


def show(desk: Desk) -> list[str]:
    """The values of `SetupTab.shown`: the doctor's table, the model, ComfyUI, then versions and places."""
    about = _versions() + _places(desk) + kept_weights()
    return [doctor(machine.doctor(desk.session.root)), base_model.chosen(desk), installs(), about]


def try_layers() -> str:
    """Quantized layers, computed for real; takes some seconds."""
    return doctor(tried.findings(), "Quantized layers")


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


def clear(desk: Desk) -> list[str]:
    """Deletes the kept weights, and shows the tab again."""
    store_folder.clear()
    return show(desk)


def kept_weights() -> str:
    """How much disk the quantized models take that wait for the next start."""
    kept = f"<code>{markup.text(store_folder.folder())}</code>: {store_folder.num_bytes() / GB:.1f} GB"
    return f"<p>{markup.text(wording.KEPT_WEIGHTS)} {kept}.</p>"


def doctor(findings: tuple[Finding, ...], title: str = "What this computer has") -> str:
    rows = (
        (
            f'<span class="state {one.state}">{wording.FINDINGS[one.state]}</span>',
            markup.text(one.title),
            markup.text(one.sentence) + (f"<br><em>{markup.text(one.mend)}</em>" if one.mend else ""),
        )
        for one in findings
    )
    return markup.table(title, ("State", "What", "Finding"), rows)


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

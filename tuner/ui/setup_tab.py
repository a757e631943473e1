"""What this computer has and lacks, versions, where files lie, and what may be cleared."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path
from typing import NamedTuple

import gradio as gr

import tuner
from tuner import machine
from tuner.machine import GB, Finding
from tuner.quantization import store_folder
from tuner.ui import markup, wording
from tuner.ui.desk import Desk

PACKAGES = ("torch", "diffusers", "transformers", "peft", "gradio")


class SetupTab(NamedTuple):
    findings: gr.HTML
    again: gr.Button
    places: gr.HTML
    clear: gr.Button


def build() -> SetupTab:
    findings = markup.region("doctor")
    again = gr.Button("Check again", size="sm", scale=0, min_width=140)
    places = markup.region("places")
    clear = gr.Button("Clear the kept weights", size="sm", scale=0, min_width=200)
    return SetupTab(findings, again, places, clear)


def show(desk: Desk) -> list[str]:
    """The doctor's table, then versions, places and the kept weights."""
    return [doctor(machine.doctor(desk.session.root)), _versions() + _places(desk) + kept_weights()]


def clear(desk: Desk) -> list[str]:
    """Deletes the kept weights, and shows the tab again."""
    store_folder.clear()
    return show(desk)


def kept_weights() -> str:
    """How much disk the quantized models take that wait for the next start."""
    kept = f"<code>{markup.text(store_folder.folder())}</code>: {store_folder.num_bytes() / GB:.1f} GB"
    return f"<p>{markup.text(wording.KEPT_WEIGHTS)} {kept}.</p>"


def doctor(findings: tuple[Finding, ...]) -> str:
    rows = (
        (
            f'<span class="state {one.state}">{wording.FINDINGS[one.state]}</span>',
            markup.text(one.title),
            markup.text(one.sentence) + (f"<br><em>{markup.text(one.mend)}</em>" if one.mend else ""),
        )
        for one in findings
    )
    return markup.table("Your computer", ("State", "What", "Finding"), rows)


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
        ("Recipe in progress", desk.draft),
    )
    rows = ([markup.text(name), f"<code>{markup.text(path.resolve())}</code>"] for name, path in places)
    return markup.table("Where files lie", ("What", "Folder"), rows)

"""Download of a model: licence, token and access before it, one bar a file while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import gradio as gr

from tuner.flux.catalog import FLAVOURS, flavour
from tuner.hub import access
from tuner.hub.download import Download, File
from tuner.machine import GB
from tuner.ui import doctor_table, markup, wording
from tuner.ui.acting import QUIET, Acting

SMALL_BYTES = 50_000_000
"""Smaller files come in a moment and need no bar."""


class DownloadPart(NamedTuple):
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


def build() -> DownloadPart:
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
    return DownloadPart(which, licence, token, keep, check, ticks, start, stop, progress, timer)


def tie(
    part: DownloadPart, act: Acting, opened: Any, download: Download, begin: Callable[[str], None]
) -> None:
    """`begin` starts the download of a flavour; every browser tab shows the same one."""

    def start(name: str) -> list[Any]:
        begin(name)
        return progress(download)

    def stop() -> list[Any]:
        download.stop()
        return progress(download)

    part.flavour.change(licence_of, part.flavour, part.licence, **QUIET)
    for event in (part.keep.click, part.token.submit):
        act.slowly(part.ticks, event, keep_token, [part.token, part.flavour], [part.token, part.ticks])
    act.slowly(part.ticks, part.check.click, ticks, part.flavour, part.ticks)
    act.slowly(part.progress, part.start.click, start, part.flavour, part.live)
    act.on(part.stop.click, stop, None, part.live)
    for event in (part.timer.tick, opened):
        event(lambda: progress(download), None, part.live, **QUIET)


def licence_of(name: str) -> str:
    address = access.page(flavour(name).repository)
    link = f'<a href="{markup.text(address)}" target="_blank" rel="noopener">{markup.text(address)}</a>'
    return f"<p>{markup.text(wording.LICENCE)} {link}</p>"


def ticks(name: str) -> str:
    """Token and repository, each tested now."""
    return doctor_table.table(access.ticks(flavour(name).repository), "Access")


def keep_token(token: str, name: str) -> list[str]:
    """The field is emptied: the token is kept by the Hugging Face library alone."""
    access.keep(token)
    return ["", ticks(name)]


def progress(download: Download) -> list[Any]:
    """One card a file, and whether the page asks again in a second."""
    one = download
    if one.state == "idle":
        return ["", gr.Timer(active=False)]
    done, total = sum(file.done for file in one.files), sum(file.num_bytes for file in one.files)
    said = markup.sentence(f"{wording.DOWNLOADS[one.state]} {done / GB:.1f} of {total / GB:.1f} GB.")
    trouble = markup.problem(one.problem) if one.problem else ""
    cards = "".join(_card(file) for file in one.files if file.num_bytes > SMALL_BYTES or file.speed)
    return [said + trouble + cards, gr.Timer(active=one.state == "running")]


def _card(file: File) -> str:
    parts = [f"{file.done / GB:.2f} of {file.num_bytes / GB:.2f} GB"]
    if file.seconds_left is not None:
        left = wording.duration(file.seconds_left)
        parts.append(f"{file.speed / 1e6:.0f} MB a second, about {left} left")
    said = ", ".join(parts)
    name = f"<span>{markup.text(file.name)}</span><span>{markup.text(said)}</span>"
    bar = markup.bar(file.name, file.done, file.num_bytes, said)
    return f'<div class="gauge"><div class="names">{name}</div>{bar}</div>'

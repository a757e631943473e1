"""What came out: samples of the LoRA beside those of the untrained model, and the file to use."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from tuner.files.run_folder import RunFolder
from tuner.ui import markup, wording
from tuner.ui.desk import Desk
from tuner.view import RunView, Sample

NEWEST = "newest"


class ResultsTab(NamedTuple):
    title: gr.HTML
    prompt: gr.Dropdown
    step: gr.Dropdown
    slider: gr.ImageSlider
    export: gr.Button
    exported: gr.HTML
    download: gr.DownloadButton


def build() -> ResultsTab:
    title = markup.region("results")
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=300):
            with gr.Row():
                prompt = gr.Dropdown([], label="Prompt", interactive=True, filterable=False, min_width=160)
                step = gr.Dropdown([], label="Step", interactive=True, filterable=False, min_width=100)
            slider = gr.ImageSlider(
                type="filepath",
                label="Before and after",
                interactive=False,
                height=420,
                max_height=420,
                buttons=["fullscreen"],
                elem_id="slider",
            )
            markup.region("compare", value=markup.quiet(wording.COMPARE))
        with gr.Column(scale=2, min_width=280):
            exported = markup.region("exported")
            export = gr.Button("Export for ComfyUI", variant="primary", interactive=False)
            download = gr.DownloadButton("Download the file", visible=False)
    return ResultsTab(title, prompt, step, slider, export, exported, download)


def show(desk: Desk, prompt: str | None, step: str | None) -> list[Any]:
    """The values of `ResultsTab`, keeping what the user looks at; `step` is a number as text, or `NEWEST`."""
    view = desk.view
    titles = wording.titles(view.samples)
    steps = [str(number) for number in sorted({s.step for s in view.samples if s.step}, reverse=True)]
    prompt = prompt if prompt in titles else next(iter(titles), None)
    step = step if step in steps else NEWEST
    has_checkpoint = desk.folder is not None and bool(desk.folder.checkpoints())
    file = newest_export(desk.folder)
    return [
        _title(view),
        gr.update(choices=[(title, name) for name, title in titles.items()], value=prompt),
        gr.update(
            choices=[(wording.newest(steps), NEWEST), *((number, number) for number in steps)], value=step
        ),
        pair(view, prompt, step),
        gr.update(interactive=has_checkpoint),
        exported(file, view.trigger) if file else markup.quiet(wording.to_export(has_checkpoint)),
        gr.update(value=str(file) if file else None, visible=file is not None),
    ]


def pair(view: RunView, prompt: str | None, step: str | None) -> tuple[str, str] | None:
    """The baseline and the sample of that step, of one prompt; None while one of them is missing."""
    mine = {str(sample.step): sample for sample in view.samples if sample.name == prompt}
    newest = str(max((sample.step for sample in mine.values()), default=0))
    before, after = mine.get("0"), mine.get(newest if step in (None, NEWEST) else str(step))
    if before is None or after is None or after is before:
        return None
    return _file(before), _file(after)


def _file(sample: Sample) -> str:
    return str(Path(sample.path).resolve())


def newest_export(folder: RunFolder | None) -> Path | None:
    """The last file that was exported of this run."""
    files = folder.exports.glob("*.safetensors") if folder else ()
    return max(files, key=lambda path: path.stat().st_mtime, default=None)


def exported(file: Path, trigger: str) -> str:
    """The card of a finished file: where it lies and what to type."""
    pairs = [("File", file.name), ("Size", f"{file.stat().st_size / 1e6:.1f} MB")]
    if trigger:
        pairs.append(("Trigger word", trigger))
    path = f'<p class="path"><code>{markup.text(file.resolve())}</code></p>'
    return (
        f'<div class="file" role="status"><p class="what">{wording.EXPORTED}</p>{markup.facts(pairs)}{path}'
        f"{markup.quiet(wording.WHERE_TO_PUT)}</div>"
    )


def _title(view: RunView) -> str:
    if not view.samples:
        return markup.sentence(wording.NO_RESULTS)
    return markup.sentence(f"{view.run}: {wording.STATES[view.state].lower()}, step {view.step}.")

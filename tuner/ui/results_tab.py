"""What came out: samples of the LoRA beside those of the untrained model, and the file to use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from tuner.files.run_folder import RunFolder
from tuner.ui import markup, wording
from tuner.ui.desk import Desk
from tuner.view import RunView, Sample

if TYPE_CHECKING:
    from tuner.training.sending import Sent

NEWEST = "newest"


class ResultsTab(NamedTuple):
    title: gr.HTML
    prompt: gr.Dropdown
    step: gr.Dropdown
    slider: gr.ImageSlider
    export: gr.Button
    exported: gr.HTML
    download: gr.DownloadButton
    strength: gr.Slider
    compare: gr.Button
    strip: gr.HTML
    folder: gr.Textbox
    draw: gr.Checkbox
    dropped: gr.UploadButton


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
            with gr.Accordion("Strength and folder", open=False):
                strength = gr.Slider(
                    0.0, 2.0, 1.0, step=0.05, label="Strength", info=wording.STRENGTH_HELP, interactive=True
                )
                folder = gr.Textbox(
                    label="ComfyUI folder", info=wording.SEND_HELP, placeholder="found by itself"
                )
                draw = gr.Checkbox(label="Draw it in ComfyUI too", info=wording.DRAW_HELP)
                compare = gr.Button("Compare strengths", size="sm", interactive=False)
            dropped = gr.UploadButton(wording.OPEN_EXPORT, file_types=[".safetensors"], size="sm")
    strip = markup.region("strengths")
    return ResultsTab(
        title,
        prompt,
        step,
        slider,
        export,
        exported,
        download,
        strength,
        compare,
        strip,
        folder,
        draw,
        dropped,
    )


def show(desk: Desk, prompt: str | None, step: str | None) -> list[Any]:
    """The values of `ResultsTab`, keeping what the user looks at and types; `step` is a number as text, or
    `NEWEST`.
    """
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
        exported(file, view.trigger, desk.sent) if file else markup.quiet(wording.to_export(has_checkpoint)),
        gr.update(value=str(file) if file else None, visible=file is not None),
        gr.update(value=desk.strength(), interactive=desk.folder is not None),
        gr.update(interactive=has_checkpoint and not view.active),
        strip(desk.strip) if desk.strip else "",
        gr.skip(),
        gr.skip(),
        gr.skip(),
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


def exported(file: Path, trigger: str, sent: Sent | None = None) -> str:
    """The card of a finished file: where it lies, what to type, and, once it was sent, what came of that."""
    pairs = [("File", file.name), ("Size", f"{file.stat().st_size / 1e6:.1f} MB")]
    if trigger:
        pairs.append(("Trigger word", trigger))
    place, lines = file, [wording.WHERE_TO_PUT]
    if sent is not None and sent.report.path == file:
        if sent.lora and sent.install:
            pairs.append(("Sent to", sent.install.title))
            place, lines = sent.lora, [wording.NEXT_STEPS] if sent.install.root else []
        lines = [sent.report.verdict.sentence, *lines, *sent.notes]
    path = f'<p class="path"><code>{markup.text(place.resolve())}</code></p>'
    return (
        f'<div class="file" role="status"><p class="what">{wording.EXPORTED}</p>{markup.facts(pairs)}{path}'
        f"{''.join(map(markup.quiet, lines))}{_side_by_side(sent)}</div>"
    )


def _side_by_side(sent: Sent | None) -> str:
    """Our sample and what ComfyUI made of the same words."""
    if sent is None or sent.drawn is None:
        return ""
    pairs = ((sent.picture, wording.OURS), (sent.drawn, wording.THEIRS))
    shown = (
        f"<figure>{markup.picture(path, words)}<figcaption>{words}</figcaption></figure>"
        for path, words in pairs
        if path
    )
    return f'<div class="pair">{"".join(shown)}</div>'


def strip(picture: Path) -> str:
    return markup.picture(picture, wording.STRIP_HELP) + markup.quiet(wording.STRIP_HELP)


def _title(view: RunView) -> str:
    if not view.samples:
        return markup.sentence(wording.NO_RESULTS)
    return markup.sentence(f"{view.run}: {wording.STATES[view.state].lower()}, step {view.step}.")

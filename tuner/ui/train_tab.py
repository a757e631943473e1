"""The live view of a run: phases, bar, numbers, loss curve, samples and log, all drawn from one `RunView`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import pandas as pd

from tuner.files.run_folder import RunFolder
from tuner.ui import markup, wording
from tuner.view import PhaseView, RunView, Sample

LOG_BYTES = 12_000
MAX_POINTS = 200
MAX_ROWS = 40
MARKS = {"waiting": "○", "running": "●", "done": "✓", "skipped": "–"}
PHASE_WORDS = {"waiting": "waiting", "running": "going on", "done": "done", "skipped": "skipped"}


class TrainTab(NamedTuple):
    progress: gr.HTML
    sample: gr.Button
    save: gr.Button
    stop: gr.Button
    curve: gr.LinePlot
    samples: gr.HTML
    log: gr.HTML


def build() -> TrainTab:
    progress = markup.region("progress")
    with gr.Row():
        sample = gr.Button("Sample now", size="sm", interactive=False, min_width=90)
        save = gr.Button("Save now", size="sm", interactive=False, min_width=90)
        stop = gr.Button("Stop and save", size="sm", variant="stop", interactive=False, min_width=90)
    with gr.Row(equal_height=False):
        with gr.Column(min_width=320):
            curve = _plot()
        with gr.Column(min_width=320):
            samples = markup.region("samples")
    with gr.Accordion("Log", open=False):
        log = gr.HTML(
            elem_id="log", js_on_load=None, apply_default_css=False, max_height=320, autoscroll=True
        )
    return TrainTab(progress, sample, save, stop, curve, samples, log)


def _plot() -> gr.LinePlot:
    return gr.LinePlot(
        x="step",
        y="loss",
        color="line",
        color_map={"each step": "#9ca3af", "smoothed": "#3b82f6", "kept apart": "#d97706"},
        x_title="Step",
        y_title="Loss",
        color_title="Loss",
        height=300,
        show_label=False,
        elem_id="curve",
    )


def progress(view: RunView, stopping: bool) -> str:
    """Headline, phase chain, bar and numbers."""
    said = wording.STOPPING if stopping else wording.headline(view)
    head = f'<h2 aria-live="polite">{markup.text(said)}</h2>'
    if view.state == "idle":
        return head
    chain = "".join(_phase(phase) for phase in view.phases)
    phases = f'<ol class="phases" aria-label="Phases of the run">{chain}</ol>'
    said = f"Step {view.step} of {view.num_steps}"
    bar = markup.bar("Progress of the training", view.step, view.num_steps, said)
    return f"{head}{phases}{bar}{_facts(view)}{_warnings(view)}"


def _phase(phase: PhaseView) -> str:
    said = markup.text(phase.why or PHASE_WORDS[phase.state])
    now = ' aria-current="step"' if phase.state == "running" else ""
    count = f" <small>{phase.done}/{phase.total}</small>" if phase.state == "running" and phase.total else ""
    return (
        f'<li class="{phase.state}"{now} title="{said}"><span aria-hidden="true">{MARKS[phase.state]}</span> '
        f'{markup.text(phase.title)}<span class="unseen"> ({said})</span>{count}</li>'
    )


def _facts(view: RunView) -> str:
    pace = "–" if view.seconds_per_step is None else f"{view.seconds_per_step:.3g} s"
    left = "–" if view.eta_seconds is None else wording.duration(view.eta_seconds)
    pairs = [
        ("Step", f"{view.step} of {view.num_steps}"),
        ("Time left", left),
        ("Time a step", pace),
        ("Loss (smoothed)", wording.number(view.smoothed_loss)),
        ("Learning rate", wording.number(view.lr)),
    ]
    if view.evaluations:
        pairs.append(("Loss (kept apart)", wording.number(view.evaluations[-1].loss)))
    if view.peak_vram_gb:
        pairs.append(("Peak VRAM", f"{view.peak_vram_gb:.1f} GB"))
    return markup.facts(pairs)


def _warnings(view: RunView) -> str:
    notes = "".join(f"<li>{markup.text(advice.text)}</li>" for advice in view.warnings[-5:])
    return f'<ul class="warnings" aria-label="Warnings">{notes}</ul>' if notes else ""


def curve(view: RunView) -> pd.DataFrame | None:
    """At most `MAX_POINTS` steps, each with its loss and the smoothed one, and the loss on pictures that are
    kept apart; None before the first step.
    """
    if not view.curve:
        return None
    stride = -(-len(view.curve) // MAX_POINTS)
    points, apart = view.curve[::stride], view.evaluations[-MAX_POINTS:]
    return pd.DataFrame(
        {
            "step": [p.step for p in points] * 2 + [p.step for p in apart],
            "loss": [p.loss for p in points] + [p.smoothed_loss for p in points] + [p.loss for p in apart],
            "line": ["each step"] * len(points) + ["smoothed"] * len(points) + ["kept apart"] * len(apart),
        }
    )


def samples(view: RunView) -> str:
    """A row per step, a column per prompt: the untrained model on top, then the newest first."""
    if not view.samples:
        return markup.quiet(wording.NO_SAMPLES)
    titles = wording.titles(view.samples)
    steps = sorted({sample.step for sample in view.samples}, reverse=True)
    rows = [step for step in steps if step == 0] + [step for step in steps if step][:MAX_ROWS]
    found = {(sample.step, sample.name): sample for sample in view.samples}
    head = "".join(f'<th scope="col">{markup.text(title)}</th>' for title in titles.values())
    body = "".join(_row(step, [found.get((step, name)) for name in titles]) for step in rows)
    return (
        '<div class="scroll"><table class="sheet"><caption>Samples</caption>'
        f'<thead><tr><th scope="col">Step</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _row(step: int, row: list[Sample | None]) -> str:
    title = wording.BASELINE if step == 0 else str(step)
    cells = "".join(
        f"<td>{markup.picture(Path(one.path), f'{one.prompt}, step {step}') if one else ''}</td>"
        for one in row
    )
    return f'<tr><th scope="row">{title}</th>{cells}</tr>'


def log(folder: RunFolder | None) -> str:
    """The last lines of a run's log."""
    lines = _tail(folder.log) if folder is not None and folder.log.is_file() else ""
    return (
        f'<pre role="log" aria-label="Log" tabindex="0">{markup.text(lines)}</pre>'
        if lines
        else markup.quiet(wording.NO_LOG)
    )


def _tail(path: Path) -> str:
    """Whole lines only."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - LOG_BYTES, 0))
        data = file.read()
    return (data if size <= LOG_BYTES else data.partition(b"\n")[2]).decode("utf-8", "replace")

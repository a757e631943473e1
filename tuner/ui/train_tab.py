"""The live view of a run: phases, bar, numbers, curves, samples and log, all drawn from one `RunView`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import pandas as pd

from tuner.errors import TunerError
from tuner.files.run_folder import RunFolder
from tuner.ui import markup, readings, report, shelf, wording
from tuner.ui.acting import QUIET, Acting
from tuner.ui.desk import Desk
from tuner.ui.sheet import sheet
from tuner.view import PhaseView, RunView

LOG_BYTES, SEARCHED_BYTES, REPORTED_BYTES = 12_000, 5_000_000, 30_000
COPY = "(said) => { navigator.clipboard.writeText(said); }"
MAX_POINTS = 200
MARKS = {"waiting": "○", "running": "●", "done": "✓", "skipped": "–"}
PHASE_WORDS = {"waiting": "waiting", "running": "going on", "done": "done", "skipped": "skipped"}


class TrainTab(NamedTuple):
    warning: gr.HTML
    progress: gr.HTML
    heartbeat: gr.HTML
    sample: gr.Button
    save: gr.Button
    stop: gr.Button
    curve: gr.LinePlot
    rates: gr.LinePlot
    samples: gr.HTML
    search: gr.Textbox
    log: gr.HTML
    copy: gr.Button
    report: gr.Textbox

    @property
    def quick(self) -> list[Any]:
        """What `quick` fills."""
        return [self.progress, self.sample, self.save, self.stop]

    @property
    def live(self) -> list[Any]:
        """What `live` fills."""
        return [self.warning, self.heartbeat, self.curve, self.rates, self.log]


def build() -> TrainTab:
    warning = markup.region("warning")
    progress = markup.region("progress", acts=True)
    heartbeat = markup.region("heartbeat")
    with gr.Row():
        sample = gr.Button("Sample now", size="sm", interactive=False, min_width=90)
        save = gr.Button("Save now", size="sm", interactive=False, min_width=90)
        stop = gr.Button("Stop and save", size="sm", variant="stop", interactive=False, min_width=90)
    with gr.Row(equal_height=False):
        with gr.Column(min_width=320):
            curve, rates = _plot(), _rate_plot()
        with gr.Column(min_width=320):
            samples = markup.region("samples")
    with gr.Accordion("Log", open=False):
        search = gr.Textbox(label="Search the log", max_lines=1)
        log = gr.HTML(
            elem_id="log", js_on_load=None, apply_default_css=False, max_height=320, autoscroll=True
        )
        copy = gr.Button("Copy for a bug report", size="sm", scale=0, min_width=180)
        told = gr.Textbox(label="Bug report", info=wording.REPORT_HELP, lines=8, max_lines=8, visible=False)
    return TrainTab(
        warning, progress, heartbeat, sample, save, stop, curve, rates, samples, search, log, copy, told
    )


def tie(tab: TrainTab, desk: Desk, act: Acting) -> None:
    """The commands to the run on the page."""
    session = desk.session
    act.on(tab.sample.click, partial(_say, session.sample_now, wording.SAMPLING))
    act.on(tab.save.click, partial(_say, session.save_now, wording.SAVING))
    act.on(tab.stop.click, partial(stop, desk))
    act.word(tab.progress.click, partial(press, desk))
    tab.search.input(
        lambda wanted: log(desk.folder, wanted), tab.search, tab.log, **QUIET, trigger_mode="always_last"
    )
    told = tab.copy.click(partial(bug_report, desk), None, tab.report, **QUIET)
    told.then(None, tab.report, None, js=COPY)


def _say(ask: Callable[[], None], sentence: str) -> None:
    ask()
    gr.Info(sentence)


def stop(desk: Desk) -> None:
    """The run on the page, after its step and a checkpoint."""
    _say(desk.stop, wording.STOPPING)


def press(desk: Desk, word: str) -> None:
    """The button of a run that has ended early; what the page sends is not trusted."""
    deed, _, run = word.partition(":")
    if deed != "continue":
        raise TunerError(f"The page asked for something unknown ('{word}').")
    if run in [one.run for one in desk.queue.entries]:
        desk.queue.go_on()
    elif shelf.go_on(desk, run):
        gr.Info(wording.waits(run))


def bug_report(desk: Desk) -> Any:
    """The text, shown so that it can be read before it is sent anywhere."""
    log = desk.folder.log if desk.folder is not None else None
    last = _tail(log, REPORTED_BYTES) if log is not None and log.is_file() else ""
    now = desk.watchdog.look(desk.view, time.time())
    return gr.update(value=report.text(desk.view, now, last), visible=True)


def quick(desk: Desk) -> list[Any]:
    """The values of `TrainTab.quick`."""
    going = gr.update(interactive=desk.view.active and not desk.session.stopping)
    return [progress(desk.view, desk.session.stopping), going, going, going]


def live(desk: Desk, moved: bool, search: str | None) -> list[Any]:
    """The values of `TrainTab.live`: the curves and the log only after an event."""
    view, now = desk.view, time.time()
    said = readings.warning(desk.watchdog.says(view, now))
    behind = [curve(view), rates(view), log(desk.folder, search)] if moved else [gr.skip()] * 3
    return [said, readings.heartbeat(view, now), *behind]


def _plot() -> gr.LinePlot:
    return gr.LinePlot(
        x="step",
        y="loss",
        color="line",
        color_map={"each step": "#9ca3af", "smoothed": "#3b82f6", "kept apart": "#d97706"},
        x_title="Step",
        y_title="Loss",
        color_title="Loss",
        height=260,
        show_label=False,
        elem_id="curve",
    )


def _rate_plot() -> gr.LinePlot:
    return gr.LinePlot(
        x="step",
        y="learning rate",
        x_title="Step",
        y_title="Learning rate",
        height=170,
        show_label=False,
        elem_id="rates",
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
    return f"{head}{_continue(view)}{phases}{bar}{_facts(view)}{_warnings(view)}"


def _continue(view: RunView) -> str:
    """One click for a run that has ended before its end."""
    if view.state not in ("stopped", "failed"):
        return ""
    last = view.checkpoints[-1].step if view.checkpoints else 0
    button = markup.button(f"continue:{view.run}", "Continue", "primary", said=f"Continue {view.run}")
    return f"<p>{button} {markup.text(wording.continues(last))}</p>"


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
        ("Gradient norm", wording.number(view.grad_norm)),
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
    kept apart. Empty before a run's first step: a plot whose value is taken away fails in the browser.
    """
    if view.state == "idle":
        return None
    stride = -(-len(view.curve) // MAX_POINTS) or 1
    points, apart = view.curve[::stride], view.evaluations[-MAX_POINTS:]
    return pd.DataFrame(
        {
            "step": [p.step for p in points] * 2 + [p.step for p in apart],
            "loss": [p.loss for p in points] + [p.smoothed_loss for p in points] + [p.loss for p in apart],
            "line": ["each step"] * len(points) + ["smoothed"] * len(points) + ["kept apart"] * len(apart),
        }
    )


def rates(view: RunView) -> pd.DataFrame | None:
    """The learning rate at the same steps."""
    if view.state == "idle":
        return None
    points = view.curve[:: -(-len(view.curve) // MAX_POINTS) or 1]
    told = {"step": [p.step for p in points], "learning rate": [p.lr for p in points]}
    return pd.DataFrame(told)


def samples(view: RunView) -> str:
    """A row per step, a column per prompt: the untrained model on top, then the newest first."""
    if not view.samples:
        return markup.quiet(wording.NO_SAMPLES)
    return sheet(view, lambda one: markup.picture(Path(one.path), f"{one.prompt}, step {one.step}"))


def log(folder: RunFolder | None, search: str | None = None) -> str:
    """The last lines of a run's log, or those of them that hold what is searched for."""
    if folder is None or not folder.log.is_file():
        return markup.quiet(wording.NO_LOG)
    wanted = (search or "").strip().lower()
    lines = _tail(folder.log, SEARCHED_BYTES if wanted else LOG_BYTES)
    if wanted:
        lines = "".join(line for line in lines.splitlines(True) if wanted in line.lower())[-LOG_BYTES:]
    if not lines:
        return markup.quiet(wording.NOT_IN_LOG)
    # So that it can be scrolled by key too.
    return f'<pre role="log" aria-label="Log" tabindex="0">{markup.text(lines)}</pre>'


def _tail(path: Path, num_bytes: int) -> str:
    """Whole lines only."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - num_bytes, 0))
        data = file.read()
    return (data if size <= num_bytes else data.partition(b"\n")[2]).decode("utf-8", "replace")

"""What a run looks like right now: one immutable `RunView`, made of its events by `fold`.

The page and the command line read the latest view; it can be rebuilt from events.jsonl at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Literal, NamedTuple

from tuner.errors import Advice
from tuner.events import (
    PHASES,
    CheckpointSaved,
    Evaluated,
    Event,
    Exported,
    Paused,
    PhaseMeasured,
    PhaseProgress,
    PhaseSkipped,
    PhaseStarted,
    Resumed,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStopped,
    SampleReady,
    StepDone,
    Warned,
)

State = Literal["idle", "running", "paused", "stopped", "failed", "finished"]
PhaseState = Literal["waiting", "running", "done", "skipped"]

MAX_POINTS = 400
MEMORY_STEPS = 50
"""A smoothed value is a plain mean at first, later an exponential mean over about this many steps."""
RECENT_STEPS = 7
"""The pace is the median of so many steps: one that waited for the disk does not count."""


@dataclass(frozen=True)
class PhaseView:
    name: str
    title: str
    state: PhaseState = "waiting"
    done: int = 0
    total: int = 0
    why: str = ""


@dataclass(frozen=True)
class CurvePoint:
    step: int
    loss: float
    lr: float
    smoothed_loss: float


@dataclass(frozen=True)
class Sample:
    step: int
    name: str
    prompt: str
    seed: int
    path: str


class Evaluation(NamedTuple):
    """The loss on pictures that are kept apart."""

    step: int
    loss: float


class Checkpoint(NamedTuple):
    step: int
    path: str


@dataclass(frozen=True)
class Export:
    dialect: str
    path: str
    num_tensors: int


@dataclass(frozen=True)
class Failure:
    message: str
    advice: tuple[Advice, ...] = ()
    unexpected: bool = False


@dataclass(frozen=True)
class RunView:
    """Everything a reader may show; None where nothing is known yet. `sequence` counts the folded events.

    The curve holds the steps that are multiples of `curve_stride`, at most `MAX_POINTS` of them. `best_pace`
    is the best that `pace` has been since the last start. A run that `broke_off` was not told to stop.
    """

    run: str = ""
    state: State = "idle"
    phases: tuple[PhaseView, ...] = ()
    phase: str = ""
    step: int = 0
    num_steps: int = 0
    first_step: int = 0
    loss: float | None = None
    smoothed_loss: float | None = None
    lr: float | None = None
    grad_norm: float | None = None
    seconds_per_step: float | None = None
    recent_seconds: tuple[float, ...] = ()
    best_pace: float | None = None
    eta_seconds: float | None = None
    peak_vram_gb: float = 0.0
    peak_ram_gb: float = 0.0
    curve: tuple[CurvePoint, ...] = ()
    curve_stride: int = 1
    evaluations: tuple[Evaluation, ...] = ()
    samples: tuple[Sample, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    exports: tuple[Export, ...] = ()
    warnings: tuple[Advice, ...] = ()
    failure: Failure | None = None
    trigger: str = ""
    started_at: float | None = None
    updated_at: float | None = None
    broke_off: bool = False
    sequence: int = 0

    @property
    def active(self) -> bool:
        return self.state in ("running", "paused")

    @property
    def pace(self) -> float | None:
        """Seconds that a step takes just now; None until there are enough of them."""
        return _pace(self.recent_seconds)


def fold(view: RunView, event: Event) -> RunView:
    """The view after one more event. Pure; events in an unexpected order or of an unknown kind do no harm."""
    change = FOLDS.get(type(event))
    after = change(view, event) if change else view
    return replace(after, sequence=view.sequence + 1, updated_at=event.time)


def from_events(events: Iterable[Event]) -> RunView:
    view = RunView()
    for event in events:
        view = fold(view, event)
    return view


def interrupted(view: RunView) -> RunView:
    """A run whose journal breaks off (power cut, closed program) and that nobody executes has stopped."""
    return replace(_end(view, "stopped"), broke_off=True) if view.active else view


def _run_started(view: RunView, event: RunStarted) -> RunView:
    """A resumed run keeps what was there up to its first step: everything later is made anew."""
    titles = dict(PHASES)
    first = event.first_step
    fresh = RunView(
        run=event.run,
        state="running",
        phases=tuple(PhaseView(name, titles.get(name, name)) for name in event.phases),
        step=first,
        num_steps=event.num_steps,
        first_step=first,
        trigger=event.trigger,
        started_at=event.time,
    )
    if first == 0:
        return fresh
    return replace(
        fresh,
        loss=view.loss,
        smoothed_loss=view.smoothed_loss,
        curve=tuple(p for p in view.curve if p.step <= first),
        curve_stride=view.curve_stride,
        evaluations=tuple(e for e in view.evaluations if e.step <= first),
        samples=tuple(s for s in view.samples if s.step <= first),
        checkpoints=tuple(c for c in view.checkpoints if c.step <= first),
    )


def _phase_started(view: RunView, event: PhaseStarted) -> RunView:
    """What ran before it is done; what comes behind it has to wait again, as after a pause."""
    view = _with_phase(view, event.name, state="running", total=event.total, done=0)
    place = [p.name for p in view.phases].index(event.name)
    left: list[PhaseView] = []
    for number, phase in enumerate(view.phases):
        if phase.state == "running" and number != place:
            phase = replace(phase, state="done" if number < place else "waiting")
        left.append(phase)
    return replace(view, phases=tuple(left), phase=event.name)


def _phase_progress(view: RunView, event: PhaseProgress) -> RunView:
    return replace(_with_phase(view, event.name, state="running", done=event.done), phase=event.name)


def _phase_skipped(view: RunView, event: PhaseSkipped) -> RunView:
    return _with_phase(view, event.name, state="skipped", why=event.why)


def _phase_measured(view: RunView, event: PhaseMeasured) -> RunView:
    return replace(
        view,
        peak_vram_gb=max(view.peak_vram_gb, event.peak_vram_gb),
        peak_ram_gb=max(view.peak_ram_gb, event.peak_ram_gb),
    )


def _step_done(view: RunView, event: StepDone) -> RunView:
    """The first step after a start is left out of the step time: it warms up, compiles and allocates."""
    smoothed = _smooth(view.smoothed_loss, event.loss, event.step)
    timed = event.step - view.first_step - 1
    seconds = view.seconds_per_step if timed < 1 else _smooth(view.seconds_per_step, event.seconds, timed)
    curve, stride = _extend(view, CurvePoint(event.step, event.loss, event.lr, smoothed))
    recent = (*view.recent_seconds, event.seconds)[-RECENT_STEPS:] if timed >= 1 else ()
    pace = _pace(recent)
    return replace(
        view,
        phases=tuple(
            replace(p, done=event.step, total=view.num_steps) if p.name == "train" else p for p in view.phases
        ),
        step=event.step,
        loss=event.loss,
        smoothed_loss=smoothed,
        lr=event.lr,
        grad_norm=event.grad_norm,
        seconds_per_step=seconds,
        recent_seconds=recent,
        best_pace=view.best_pace if pace is None else min(pace, view.best_pace or pace),
        eta_seconds=None if seconds is None else max(view.num_steps - event.step, 0) * seconds,
        peak_vram_gb=max(view.peak_vram_gb, event.peak_vram_gb),
        curve=curve,
        curve_stride=stride,
    )


def _pace(seconds: tuple[float, ...]) -> float | None:
    return median(seconds) if len(seconds) == RECENT_STEPS else None


def _evaluated(view: RunView, event: Evaluated) -> RunView:
    kept = (one for one in view.evaluations if one.step != event.step)
    return replace(view, evaluations=(*kept, Evaluation(event.step, event.loss)))


def _sample_ready(view: RunView, event: SampleReady) -> RunView:
    sample = Sample(event.step, event.name, event.prompt, event.seed, event.path)
    return replace(view, samples=(*(s for s in view.samples if s.path != event.path), sample))


def _checkpoint_saved(view: RunView, event: CheckpointSaved) -> RunView:
    kept = (c for c in view.checkpoints if c.path != event.path)
    return replace(view, checkpoints=(*kept, Checkpoint(event.step, event.path)))


def _exported(view: RunView, event: Exported) -> RunView:
    kept = (e for e in view.exports if e.path != event.path)
    return replace(view, exports=(*kept, Export(event.dialect, event.path, event.num_tensors)))


def _warned(view: RunView, event: Warned) -> RunView:
    return replace(view, warnings=(*view.warnings, Advice(event.text, event.change)))


def _run_failed(view: RunView, event: RunFailed) -> RunView:
    advice = tuple(Advice(text, change) for text, change in event.advice)
    return replace(_end(view, "failed"), failure=Failure(event.message, advice, event.unexpected))


def _run_finished(view: RunView, event: RunFinished) -> RunView:
    phases = tuple(replace(p, state="done") if p.state == "running" else p for p in view.phases)
    return replace(view, state="finished", phases=phases, step=event.step, eta_seconds=0.0)


def _end(view: RunView, state: State) -> RunView:
    """An end before the end: the phase it happened in goes back to waiting and stays named in `phase`."""
    phases = tuple(replace(p, state="waiting") if p.state == "running" else p for p in view.phases)
    return replace(view, state=state, phases=phases, eta_seconds=None)


def _with_phase(view: RunView, name: str, **values: Any) -> RunView:
    phases = view.phases
    if name not in {p.name for p in phases}:
        phases = (*phases, PhaseView(name, dict(PHASES).get(name, name)))
    return replace(view, phases=tuple(replace(p, **values) if p.name == name else p for p in phases))


def _smooth(before: float | None, value: float, num_values: int) -> float:
    if before is None:
        return value
    return before + (value - before) * max(1 / max(num_values, 1), 1 / MEMORY_STEPS)


def _extend(view: RunView, point: CurvePoint) -> tuple[tuple[CurvePoint, ...], int]:
    """One more point; when the curve is full every second one goes, and only steps that fit come later. Of a
    run that went back, what it does again goes.
    """
    curve, stride = view.curve, view.curve_stride
    if curve and curve[-1].step >= point.step:
        curve = tuple(p for p in curve if p.step < point.step)
    if point.step % stride == 0:
        curve = (*curve, point)
    while len(curve) > MAX_POINTS:
        stride *= 2
        curve = tuple(p for p in curve if p.step % stride == 0)
    return curve, stride


FOLDS: dict[type[Event], Callable[[RunView, Any], RunView]] = {
    RunStarted: _run_started,
    PhaseStarted: _phase_started,
    PhaseProgress: _phase_progress,
    PhaseSkipped: _phase_skipped,
    PhaseMeasured: _phase_measured,
    StepDone: _step_done,
    Evaluated: _evaluated,
    SampleReady: _sample_ready,
    CheckpointSaved: _checkpoint_saved,
    Exported: _exported,
    Warned: _warned,
    Paused: lambda view, _: replace(view, state="paused"),
    Resumed: lambda view, _: replace(view, state="running"),
    RunStopped: lambda view, event: replace(_end(view, "stopped"), step=event.step),
    RunFailed: _run_failed,
    RunFinished: _run_finished,
}

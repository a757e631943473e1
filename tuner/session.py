"""One run at a time on a background thread: its journal, its log, its view; the door to training and export.

The page and the command line are its two clients: both call `start` and read `view`; neither knows threads.
"""

from __future__ import annotations

import logging
import shutil
import threading
import traceback
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import IO, TYPE_CHECKING

from PIL import Image

from tuner import files, machine
from tuner.dataset import caption_files, scan, undo
from tuner.dataset.captions import with_trigger
from tuner.errors import Advice, RunGoingOn, RunMissing, TunerError, Unexpected, explain
from tuner.events import Event, RunFailed, RunStarted, to_json
from tuner.export import comfyui
from tuner.files import choice, env_file, from_export, journal
from tuner.files.run_folder import ADAPTER_FILE, EMA_ADAPTER_FILE, RunFolder, step_of
from tuner.plan import make
from tuner.plan.phases import Plan
from tuner.plan.rehearsal import rehearsed
from tuner.settings.request import CaptionRequest, SampleRequest
from tuner.settings.run import RunSettings
from tuner.training.control import Control
from tuner.view import RunView, State, fold, from_events, interrupted

if TYPE_CHECKING:
    from tuner.export.comfyui import Install
    from tuner.export.write import ExportReport
    from tuner.training.export_preview import ExportPreview
    from tuner.training.sending import Sent

log = logging.getLogger(__name__)


def prepare(config_dir: Path, resume: bool = True, reading: machine.Reading | None = None) -> Plan:
    """Load, scan and plan, without a model: what `start` would execute. Raises TunerError.

    Without `resume` the plan is that of a run from the start, whatever the run folder holds. `reading` is of
    the computer to plan for, by default this one.
    """
    loaded = files.load_all(files.config_folder(config_dir))
    settings = loaded.settings
    if not resume:
        settings = files.changed(settings, {"saving.resume_from_checkpoint": ""})
    plan = make.make(settings, scan.scan(settings), reading or machine.read())
    return replace(plan, notes=(*loaded.notes, *plan.notes))


BRIEF_STEPS = 60


def read_run(run: Path, brief: bool = False) -> RunView:
    """The view of a run that nobody executes now, from its journal; broken lines are among its warnings.

    In a `brief` one the curve and what is smoothed know the last `BRIEF_STEPS` alone.
    """
    path = RunFolder(run).events
    if not path.is_file():
        raise RunMissing(f"'{run}' holds no run: there is no {path.name} in it.")
    events, warnings = journal.read(path, BRIEF_STEPS if brief else None)
    return interrupted(from_events([*events, *warnings]))


def set_aside(folder: RunFolder) -> Path:
    """Make room for a run from the start: what an earlier one made moves into `earlier-<n>` in its folder."""
    number = next(n for n in count(1) if not (folder.path / f"earlier-{n}").exists())
    aside = RunFolder(folder.path / f"earlier-{number}")
    aside.path.mkdir()
    for made in (
        folder.exports,
        folder.samples,
        folder.sheet,
        folder.choice,
        folder.log,
        *folder.checkpoints(),
        folder.events,
    ):
        if made.exists():
            made.rename(aside.path / made.name)
    if folder.config.is_dir():
        shutil.copytree(folder.config, aside.config)
    return aside.path


class Session:
    """`view` is replaced as a whole at every event: readers need no lock. `root` holds the folder `runs`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.view = RunView()
        self.plan: Plan | None = None
        self.error: TunerError | None = None
        self._control = Control()
        self._starting = threading.Lock()
        self._doing = ""
        # Not Thread.join or is_alive: up to Python 3.12 a Ctrl-C inside them marks a living thread as ended.
        self._idle = threading.Event()
        self._idle.set()
        self._journal: IO[bytes] | None = None

    @property
    def running(self) -> bool:
        return not self._idle.is_set()

    @property
    def outcome(self) -> State | None:
        """How the last run of this session ended; None before the first one and while one runs."""
        return None if self.plan is None or self.running else self.view.state

    @property
    def stopping(self) -> bool:
        """A run is going on and was asked to stop."""
        return self.running and self._control.stop.is_set()

    def runs(self) -> list[Path]:
        """The run folders below `root`, the latest first."""
        found = [path.parent for path in (self.root / "runs").glob("*/events.jsonl")]
        return sorted(found, key=lambda run: RunFolder(run).events.stat().st_mtime, reverse=True)

    def start(self, config_dir: Path) -> None:
        """Plan the run of these five files and execute it in the background.

        Raises TunerError, before any thread starts, when a run is going on or this one cannot be executed.
        """
        with self._alone("A run is just being started."):
            plan = prepare(config_dir)
            make.refuse_misfit(plan, machine.read())
            plan.folder.path.mkdir(parents=True, exist_ok=True)
            if plan.resume_from is None and plan.folder.checkpoints():
                set_aside(plan.folder)
            if files.config_folder(config_dir).resolve() != plan.folder.config.resolve():
                # As written: the plan's own settings hold what the flavour fills in.
                files.save_all(files.load_all(config_dir).settings, plan.folder.config)
            self._show(_view_before(plan))
            self.plan, self.error, self._control = plan, None, Control()
            self._idle.clear()
            threading.Thread(
                target=self._execute, args=(plan, self._control), name="run", daemon=True
            ).start()

    @property
    def rehearsal(self) -> RunFolder:
        """Where a rehearsal takes place; the next one replaces it."""
        return RunFolder(self.root / ".tmp" / "rehearsal")

    def rehearse(self, config_dir: Path) -> RunFolder:
        """As `start`, but for two steps alone, with checkpoint and samples; returns the folder it is in,
        whose journal tells what the run will take. What is encoded for it is the real run's.
        """
        self._refuse_beside_a_run("a rehearsal")
        settings = files.load_all(files.config_folder(config_dir)).settings
        shutil.rmtree(self.rehearsal.path, ignore_errors=True)
        files.save_all(rehearsed(settings, self.rehearsal.path), self.rehearsal.config)
        self.start(self.rehearsal.config)
        return self.rehearsal

    def stop(self) -> None:
        """Ask the run to finish its step, save a checkpoint and end."""
        self._control.stop.set()

    def pause(self) -> None:
        self._control.pause.set()

    def resume(self) -> None:
        self._control.pause.clear()

    def sample_now(self) -> None:
        self._control.sample_now.set()

    def save_now(self) -> None:
        self._control.save_now.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait until no run is going on, at most `timeout` seconds."""
        self._idle.wait(timeout)

    def close(self) -> None:
        """Stop, and wait for the checkpoint."""
        self.stop()
        self.join()

    def open(self, run: Path) -> RunView:
        """Show an earlier run. While one is going on, only that one can be shown."""
        if self.running:
            if self.plan is not None and self.plan.folder.path.resolve() == run.resolve():
                return self.view
            raise RunGoingOn(
                f"The run '{self.view.run}' is going on.", Advice("Stop it first, or wait for its end.")
            )
        self._show(read_run(run))
        return self.view

    def put_away(self) -> None:
        """Show no run any more; while one is going on, nothing happens."""
        if not self.running:
            self._show(RunView())

    def export(
        self,
        run: Path,
        to: Path | None = None,
        dialect: str = "comfyui",
        dtype: str = "float32",
        step: int | None = None,
        expected: Path | None = None,
    ) -> ExportReport:
        """Write a checkpoint to a .safetensors file or into a folder: that of `step`, else the one that was
        chosen, else the newest; so it is with whatever takes a step.

        `expected` is a file for inputs and the trained transformer's outputs, by which others can judge it.
        """
        if expected is not None:
            self._refuse_beside_a_run("another transformer")
        from tuner.training import exporting

        finished = exporting.Finished(*_finished(run, step))
        target = RunFolder(run).exports if to is None else to
        if target.suffix != ".safetensors":
            target = target / f"{run.resolve().name}.safetensors"
        target.parent.mkdir(parents=True, exist_ok=True)
        report = exporting.export_adapter(finished, target, dialect, dtype)
        if expected is not None:
            exporting.write_expected(finished, expected)
        return report

    def send(
        self,
        run: Path,
        to: Path | None = None,
        dtype: str = "float32",
        step: int | None = None,
        sample: str | None = None,
        draw: bool = False,
    ) -> Sent:
        """Export a checkpoint and hand it to ComfyUI: the one found first, or the folder `to`. Without any,
        the file lies in the run's exports, with its workflow.

        `sample` names the preview that the workflow repeats; `draw` has a running ComfyUI draw it.
        """
        if draw:
            self._refuse_beside_a_run("another transformer")
        from tuner.training import exporting, sending

        return sending.send(exporting.Finished(*_finished(run, step)), _install(to), dtype, sample, draw)

    def preview_export(
        self, run: Path, file: Path, to: Path | None = None, sample: str | None = None
    ) -> ExportPreview:
        """Draw a sample with a file that was exported of `run`, on the model as the ComfyUI will use it that
        `send` would choose, beside what training made of it.
        """
        step, mean = from_export.origin(file)
        with self._alone("Pictures are being drawn."):
            from tuner.training import export_preview, exporting

            finished = exporting.Finished(*_finished(run, step, mean))
            return export_preview.preview_export(finished, file, _install(to), sample)

    def try_prompt(self, run: Path, request: SampleRequest, step: int | None = None) -> Path:
        """Draw anything with a checkpoint. -> the picture, in the run's exports"""
        with self._alone("Pictures are being drawn."):
            from tuner.training import exporting, trying

            return trying.draw_prompt(exporting.Finished(*_finished(run, step)), request)

    def merge(self, run: Path, to: Path, step: int | None = None, strength: float = 1.0) -> Path:
        """Write the transformer with a checkpoint's adapter inside, bf16: a .safetensors file or a folder."""
        from tuner.training import exporting, merging

        return merging.merge(exporting.Finished(*_finished(run, step)), to, strength)

    def strengths(self, run: Path, sample: str | None = None, step: int | None = None) -> Path:
        """Draw a sample of a checkpoint at several strengths. -> the picture, in the run's exports"""
        with self._alone("Pictures are being drawn."):
            from tuner.training import exporting, strip

            return strip.draw_strip(exporting.Finished(*_finished(run, step)), sample)

    def render(
        self, config_dir: Path, requests: Sequence[SampleRequest], adapter: Path | None = None
    ) -> Iterator[Image.Image]:
        """One picture a request, with the model and sampling settings of these five files."""
        self._refuse_beside_a_run("other pictures")
        settings = files.load_all(files.config_folder(config_dir)).settings
        from tuner.training.previews import render

        return render(settings, requests, adapter)

    def caption(
        self, pictures: Sequence[Path], request: CaptionRequest, every: bool = False
    ) -> Generator[tuple[int, int], None, None]:
        """Writes captions beside pictures, as one step of `undo_folder`; `every` also those that have one.

        Yields (captions written, captions to write), first before the model is loaded. Closing the iterator
        ends it; what was written stays.
        """
        wanted = list(pictures) if every else caption_files.empty(pictures)
        yield 0, len(wanted)
        if not wanted:
            return
        with self._alone("Captions are being made."):
            from tuner.training.captioner import captions

            step = undo.begin(self.undo_folder, f"{len(wanted)} captions by a model")
            with closing(captions(wanted, request)) as made:
                for number, (path, text) in enumerate(made, start=1):
                    trigger = request.trigger
                    caption_files.write(step, path, with_trigger(trigger, text) if trigger else text)
                    yield number, len(wanted)

    def _refuse_beside_a_run(self, what: str) -> None:
        if self.running:
            raise TunerError(
                f"While a run is going on there is no memory for {what}.", Advice("Stop it first.")
            )

    @property
    def undo_folder(self) -> Path:
        """Where the texts are that `undo` brings back."""
        return self.root / ".tmp" / "undo"

    @contextmanager
    def _alone(self, doing: str) -> Iterator[None]:
        """No run goes on in it, and none can start."""
        if not self._starting.acquire(blocking=False):
            raise RunGoingOn(self._doing, Advice("Wait for it."))
        with _released(self._starting):
            self._doing = doing
            if self.running:
                raise RunGoingOn(
                    f"The run '{self.view.run}' is going on.", Advice("Stop it first, or wait for its end.")
                )
            yield

    def _execute(self, plan: Plan, control: Control) -> None:
        """The run thread: whatever happens in it ends as an event."""
        try:
            with _log_file(plan.folder.log), journal.open_end(plan.folder.events) as self._journal:
                try:
                    with env_file.in_force(plan.settings.environment):
                        from tuner.training.run import run

                        run(plan, self._publish, control)
                except BaseException as exception:  # noqa: BLE001 - nothing above a thread would say it
                    self._fail(exception)
        finally:
            self._idle.set()

    def _publish(self, event: Event) -> None:
        """Called by the run thread alone. The view moves on even if the disk takes no more journal."""
        try:
            assert self._journal is not None
            journal.append(self._journal, event)
            log.info(" ".join(f"{name}={value}" for name, value in to_json(event).items() if name != "time"))
        finally:
            self.view = fold(self.view, event)

    def _fail(self, exception: BaseException) -> None:
        """Clears the frames of the traceback, which would keep the model and its memory alive."""
        self.error = error = explain(exception)
        if error is not exception:
            log.error("The run failed.", exc_info=exception)
        link: BaseException | None = exception
        while link is not None:
            traceback.clear_frames(link.__traceback__)
            link.__traceback__, link = None, link.__cause__ or link.__context__
        advice = tuple((a.text, dict(a.change)) for a in error.advice)
        failed = RunFailed(message=error.message, advice=advice, unexpected=isinstance(error, Unexpected))
        try:
            self._publish(failed)
        except OSError as full:
            log.error("The journal takes no more lines: %s", full)

    def _show(self, view: RunView) -> None:
        """Another run's view; its sequence moves on, so that a page that watches it sees the change."""
        self.view = replace(view, sequence=self.view.sequence + view.sequence + 1)


def _view_before(plan: Plan) -> RunView:
    """What is shown until the thread speaks: a resumed run with its history, a new one with its phases."""
    path = plan.folder.events
    events = journal.read(path)[0] if plan.first_step and path.is_file() else []
    started = RunStarted(
        run=plan.folder.name,
        phases=tuple(phase.name for phase in plan.phases),
        num_steps=plan.num_steps,
        first_step=plan.first_step,
        trigger=plan.settings.trigger,
    )
    return from_events([*events, started])


def _install(to: Path | None) -> Install | None:
    """The ComfyUI that is found first, or the folder `to`; None is normal."""
    found = comfyui.installs()
    if to is None:
        return found[0] if found else None
    named = comfyui.at(to)
    return next((one for one in found if one.loras.resolve() == named.loras.resolve()), named)


def _finished(
    run: Path, step: int | None, mean: bool | None = None
) -> tuple[RunSettings, RunFolder, Path, int, str]:
    """Settings, folder, checkpoint, its step and the adapter's file in it; `mean`: its running mean, by
    default as it was chosen.
    """
    folder = RunFolder(run)
    checkpoint = _checkpoint(folder, choice.step(folder) if step is None else step)
    file = EMA_ADAPTER_FILE if (choice.mean(folder) if mean is None else mean) else ADAPTER_FILE
    if not (checkpoint / file).is_file():
        raise RunMissing(
            f"The checkpoint of step {step_of(checkpoint)} holds no '{file}'.",
            Advice("Choose another one, or the adapter itself instead of its running mean."),
        )
    settings = files.load_all(files.config_folder(run)).settings
    return settings, folder, checkpoint, step_of(checkpoint), file


def _checkpoint(folder: RunFolder, step: int | None) -> Path:
    found = folder.checkpoints()
    if not found:
        raise RunMissing(f"'{folder.path}' holds no checkpoint, so there is nothing to export yet.")
    if step is None:
        return found[-1]
    of_step = [path for path in found if step_of(path) == step]
    if not of_step:
        steps = ", ".join(str(step_of(path)) for path in found)
        raise RunMissing(f"'{folder.path}' holds no checkpoint of step {step}; it has those of {steps}.")
    return of_step[-1]


@contextmanager
def _released(lock: threading.Lock) -> Iterator[None]:
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _log_file(path: Path) -> Iterator[None]:
    """Everything that the rooms of tuner log goes to this file as well."""
    rooms = logging.getLogger("tuner")
    level = rooms.level
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    rooms.addHandler(handler)
    rooms.setLevel(logging.INFO)
    try:
        yield
    finally:
        rooms.removeHandler(handler)
        rooms.setLevel(level)
        handler.close()

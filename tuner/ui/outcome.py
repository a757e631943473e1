"""What is made of a run once it has something to show: choices, files for ComfyUI, pictures on request."""

from __future__ import annotations

from pathlib import Path

from tuner import files
from tuner.errors import Advice, RunMissing, TunerError
from tuner.export import comfyui
from tuner.export.metadata import metadata
from tuner.files import choice
from tuner.files.run_folder import EMA_ADAPTER_FILE, RunFolder, step_of
from tuner.flux import headers
from tuner.settings.request import SampleRequest
from tuner.ui import delivery
from tuner.ui.desk import Desk, named_folder


def send(desk: Desk, to: str, sample: str | None, draw: bool = False) -> None:
    """Export the chosen checkpoint of the run on the page, and hand it to the ComfyUI that is found, or to
    the folder `to`, else to that of Setup; `sample` is the one that its workflow repeats.
    """
    folder = named_folder(to.strip() or delivery.read(desk.session.root).folder)
    desk.sent = desk.session.send(desk.shown_run().path, folder, sample=_drawn(desk, sample), draw=draw)
    desk.compared = None
    desk.pictures_changed()


def preview(desk: Desk, to: str, sample: str | None) -> None:
    """A sample drawn with the newest file, as ComfyUI will draw it, beside that of training."""
    run = desk.shown_run()
    file = newest_export(run)
    if file is None:
        raise RunMissing("There is no exported file yet.", Advice("Send the LoRA to ComfyUI first."))
    folder = named_folder(to.strip() or delivery.read(desk.session.root).folder)
    desk.compared = desk.session.preview_export(run.path, file, folder, _drawn(desk, sample))
    desk.pictures_changed()


def strengths(desk: Desk, sample: str | None) -> None:
    """The picture of a sample at several strengths."""
    desk.strip = desk.session.strengths(desk.shown_run().path, _drawn(desk, sample))
    desk.pictures_changed()


def try_prompt(desk: Desk, prompt: str) -> None:
    """A picture of anything, with the chosen checkpoint and strength, from the noise of the samples."""
    if not prompt.strip():
        raise TunerError("There is nothing to draw.", Advice("Write what is to be seen."))
    seed = desk.view.samples[0].seed if desk.view.samples else 0
    request = SampleRequest(prompt.strip(), seed, strength=strength(desk))
    desk.tried = desk.session.try_prompt(desk.shown_run().path, request)
    desk.pictures_changed()


def strength(desk: Desk) -> float:
    """That of the exports of the run on the page."""
    chosen = choice.strength(desk.folder) if desk.folder else None
    return 1.0 if chosen is None else chosen


def choose_strength(desk: Desk, value: float) -> None:
    choice.choose_strength(desk.shown_run(), value)
    desk.pictures_changed()


def choose_mean(desk: Desk, value: bool) -> None:
    choice.choose_mean(desk.shown_run(), value)
    desk.pictures_changed()


def mean(desk: Desk) -> bool:
    return desk.folder is not None and choice.mean(desk.folder)


def chosen_step(desk: Desk) -> int | None:
    return choice.step(desk.folder) if desk.folder else None


def choose_step(desk: Desk, step: int) -> None:
    """Mark the step whose checkpoint is to be exported; the second time, the mark is taken off."""
    run = desk.shown_run()
    kept, chosen = kept_steps(run), choice.step(run)
    if step not in (*kept, chosen):
        others = ", ".join(map(str, kept)) or "none"
        raise RunMissing(
            f"The checkpoint of step {step} is not kept, so it cannot be exported. Kept are: {others}.",
            Advice("Choose one of these; the next run can save a checkpoint with each sample."),
        )
    choice.choose_step(run, None if step == chosen else step)
    desk.strip = None
    desk.pictures_changed()


def kept_steps(run: RunFolder | None) -> tuple[int, ...]:
    """Those that have a checkpoint."""
    return tuple(dict.fromkeys(map(step_of, run.checkpoints()))) if run else ()


def checkpoint(desk: Desk) -> Path | None:
    """What an export takes: that of the chosen step, else the newest; None where it is not there."""
    chosen = chosen_step(desk)
    found = [
        one for one in (desk.folder.checkpoints() if desk.folder else ()) if chosen in (None, step_of(one))
    ]
    return found[-1] if found else None


def has_mean(desk: Desk) -> bool:
    """Whether the checkpoint holds the running mean of the adapter (EMA) too."""
    found = checkpoint(desk)
    return found is not None and (found / EMA_ADAPTER_FILE).is_file()


def target(desk: Desk) -> str:
    """Where the next file goes; "" where no ComfyUI is known."""
    if wished := delivery.read(desk.session.root).folder:
        return wished
    found = comfyui.installs(address=None)
    return str(found[0].loras) if found else ""


def newest_export(run: RunFolder | None) -> Path | None:
    """The last file that was exported of this run."""
    found = run.exports.glob("*.safetensors") if run else ()
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def header(desk: Desk, file: Path | None) -> dict[str, str]:
    """What a file says of itself, or, without one, what the next export will say."""
    if file is not None:
        return headers.metadata(file)
    found = checkpoint(desk)
    if found is None or desk.folder is None:
        return {}
    settings = files.load_all(files.config_folder(desk.folder.path)).settings
    return metadata(settings, step_of(found), strength=strength(desk))


def _drawn(desk: Desk, sample: str | None) -> str | None:
    """Its name, if the training has drawn it and not the untrained model alone."""
    return sample if any(one.name == sample and one.step for one in desk.view.samples) else None

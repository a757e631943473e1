"""The commands that execute a run: `train`, and `practice` with its exam."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from tuner import files, presets
from tuner.cli.output import error_record, report, save_picture, tell
from tuner.cli.progress import Display, display, follow
from tuner.errors import TunerError, Unexpected
from tuner.files.run_folder import ADAPTER_FILE, RunFolder
from tuner.practice import exam
from tuner.session import Session, read_run, set_aside

PRACTICE = Path("runs/practice")
STOPPED = 3


def train(arguments: Namespace) -> int:
    """Start the run, or go on with it; several one after the other, also after one that failed. -> the exit
    code of the first that did
    """
    session = Session(Path.cwd())
    if len(arguments.dirs) == 1:
        code, record, lines = _train(session, arguments.dirs[0])
        report(arguments, record, lines)
        return code
    done = []
    for folder in arguments.dirs:
        done.append(_train_in_turn(session, folder))
        if done[-1][0] == STOPPED:
            break
    report(
        arguments, {"runs": [record for _, record, _ in done]}, [line for *_, lines in done for line in lines]
    )
    return next((code for code, *_ in done if code), 0)


Trained = tuple[int, dict[str, Any], list[str]]
"""(exit code, record, lines) of one run."""


def _train(session: Session, folder: Path) -> Trained:
    code = _execute(session, files.config_folder(folder), display())
    lines = [f"{session.view.state}: {session.view.step} of {session.view.num_steps} steps"]
    lines += [f"LoRA: {Path(one.path).resolve()}" for one in session.view.exports[-1:]]
    return code, _record(session), lines


def _train_in_turn(session: Session, folder: Path) -> Trained:
    """One of several: what cannot start is told, and the next one has its turn."""
    tell(f"{folder}:")
    try:
        code, record, lines = _train(session, folder)
    except TunerError as error:
        tell(str(error))
        return error.exit_code, {"run": str(folder), "error": error_record(error)}, [f"{folder}: not started"]
    return code, record, [f"{folder}: {line}" for line in lines]


def practice(arguments: Namespace) -> int:
    """The whole job on the embedded practice model, and what was learned."""
    session, shown, folder = Session(Path.cwd()), display(), RunFolder(PRACTICE)
    change = _asked(arguments)
    if not _goes_on(folder, change):
        if folder.checkpoints():
            set_aside(folder)
        presets.apply("practice", folder.config, change)
    code = _execute(session, folder.config, shown)
    if code:
        report(arguments, _record(session), [f"practice: {session.view.state} at step {session.view.step}"])
        return code
    base = _answers(session, folder, None, shown)
    tuned = _answers(session, folder, folder.checkpoints()[-1] / ADAPTER_FILE, shown)
    grade = exam.grade(base, tuned)
    save_picture(exam.sheet(base, tuned), folder.sheet)
    lora, sheet = Path(session.view.exports[-1].path).resolve(), folder.sheet.resolve()
    marks = {"score": grade.score, "base": grade.base, "gain": grade.gain, "passed": grade.passed}
    lines = [
        f"practice: learned {grade.score:.2f} (base {grade.base:.2f})",
        f"LoRA:  {lora}",
        f"Sheet: {sheet}",
    ]
    report(arguments, {**_record(session), **marks, "lora": str(lora), "sheet": str(sheet)}, lines)
    return 0


def _asked(arguments: Namespace) -> dict[str, Any]:
    """The arguments of `practice` as changes of its recipe, by dotted path."""
    asked = {
        "optimization.seed": arguments.seed,
        "optimization.learning_rate": arguments.learning_rate,
        "memory.base_model_precision": arguments.precision,
    }
    if arguments.lycoris is not None:
        asked |= {"adapter.lora_type": "lycoris", "lycoris": files.read_lycoris(arguments.lycoris)}
    return {path: value for path, value in asked.items() if value is not None}


def _execute(session: Session, config: Path, shown: Display) -> int:
    """Start, follow to the end, and say what went wrong. -> exit code"""
    follow(session, config, shown)
    assert session.plan is not None
    if session.error is None:
        return STOPPED if session.outcome == "stopped" else 0
    tell(str(session.error))
    if isinstance(session.error, Unexpected):
        tell(f"The details stand in '{session.plan.folder.log}'.")
    return session.error.exit_code


def _record(session: Session) -> dict[str, Any]:
    view, plan = session.view, session.plan
    assert plan is not None
    return {
        "outcome": view.state,
        "run": str(plan.folder.path),
        "step": view.step,
        "num_steps": view.num_steps,
        "loss": view.smoothed_loss,
        "evaluations": [list(one) for one in view.evaluations],
        "seconds_per_step": view.seconds_per_step,
        "peak_vram_gb": view.peak_vram_gb,
        "peak_ram_gb": view.peak_ram_gb,
        "checkpoints": [one.path for one in view.checkpoints],
        "exports": [one.path for one in view.exports],
        "samples": [one.path for one in view.samples],
        "notes": [*plan.notes, *(one.text for one in view.warnings)],
        "error": None if session.error is None else error_record(session.error),
    }


def _goes_on(folder: RunFolder, asked: Mapping[str, object]) -> bool:
    """Whether a stopped practice run is there that began with these settings, by dotted path; everything else
    begins afresh.
    """
    if not folder.checkpoints() or not folder.events.is_file() or read_run(folder.path).state != "stopped":
        return False
    try:
        settings = files.load_all(folder.config).settings
        return files.changed(settings, asked) == settings
    except TunerError as error:
        tell(f"Note: the practice run begins afresh. {error}")
        return False


def _answers(
    session: Session, folder: RunFolder, adapter: Path | None, shown: Display
) -> Sequence[Image.Image]:
    """The exam's pictures, of the untuned model or with the adapter."""
    asked = exam.questions()
    title = "Exam: the model as it was" if adapter is None else "Exam: the model as it is now"
    return list(shown.each(title, session.render(folder.config, asked, adapter), len(asked)))

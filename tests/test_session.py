"""One run at a time, told as events; what goes wrong ends as a sentence, and the journal tells it again."""

import gc
import json
import logging
import os
import sys
import threading
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.recipe import write_checkpoint, write_recipe
from tuner.errors import Advice, ConfigFileBroken, LossDiverged, RunMissing, TunerError, Unexpected
from tuner.events import (
    CheckpointSaved,
    Paused,
    PhaseStarted,
    Resumed,
    RunFinished,
    RunStarted,
    RunStopped,
    StepDone,
    Warned,
)
from tuner.files import choice, load_all
from tuner.files.run_folder import ADAPTER_FILE, EMA_ADAPTER_FILE, RunFolder
from tuner.session import Session, prepare, read_run, set_aside
from tuner.settings.request import SampleRequest

PATIENCE_SECONDS = 60


@pytest.fixture
def session(tmp_path):
    made = Session(tmp_path)
    yield made
    made.stop()
    made.join(PATIENCE_SECONDS)
    assert not made.running


@pytest.fixture
def trainer(monkeypatch):
    """Puts a function in the place of the trainer, behind the door."""

    def use(run):
        monkeypatch.setitem(sys.modules, "tuner.training.run", SimpleNamespace(run=run))

    return use


def step(number: int) -> StepDone:
    return StepDone(step=number, loss=0.5, lr=1e-4, grad_norm=0.1, seconds=0.01)


def begin(plan, emit) -> None:
    emit(
        RunStarted(
            run=plan.folder.name, phases=("train",), num_steps=plan.num_steps, first_step=plan.first_step
        )
    )
    emit(PhaseStarted(name="train", total=plan.num_steps))


def short_run(plan, emit, control) -> None:
    begin(plan, emit)
    emit(step(1))
    emit(Warned(text="Ünïcode survives."))
    emit(RunFinished(step=plan.num_steps, path="cat.safetensors"))


def until_stopped(plan, emit, control) -> None:
    """Steps until somebody stops it, and pauses meanwhile."""
    begin(plan, emit)
    emit(step(1))
    paused = False
    while not control.stop.wait(0.01):
        if control.pause.is_set() != paused:
            paused = not paused
            emit(Paused(step=1) if paused else Resumed(step=1))
    emit(CheckpointSaved(step=1, path=str(plan.folder.checkpoint(1))))
    emit(RunStopped(step=1))


def wait_for(condition) -> None:
    tick = threading.Event()
    for _ in range(PATIENCE_SECONDS * 100):
        if condition():
            return
        tick.wait(0.01)
    raise AssertionError("waited in vain")


def finish(session: Session, config: Path) -> None:
    session.start(config)
    session.join(PATIENCE_SECONDS)


def test_a_run_from_start_to_finish(tmp_path, session, trainer):
    trainer(short_run)
    assert (session.view.state, session.outcome) == ("idle", None)
    finish(session, write_recipe(tmp_path))
    assert (session.view.state, session.outcome, session.error) == ("finished", "finished", None)
    assert session.view.run == "run"
    lines = (tmp_path / "run" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["event"] for line in lines][:2] == ["RunStarted", "PhaseStarted"]
    assert "Ünïcode survives." in lines[3]
    log = (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
    assert len(log.splitlines()) == len(lines)
    assert "StepDone step=1 loss=0.5" in log


def test_the_page_sees_a_run_at_once(tmp_path, session, trainer):
    trainer(until_stopped)
    before = session.view.sequence
    session.start(write_recipe(tmp_path))
    assert session.view.active
    assert session.view.sequence > before
    assert session.view.num_steps == 10
    assert session.outcome is None


def test_a_second_start_is_refused(tmp_path, session, trainer):
    trainer(until_stopped)
    config = write_recipe(tmp_path)
    session.start(config)
    with pytest.raises(TunerError, match="'run' is going on"):
        session.start(config)


def test_wrong_files_are_said_before_any_thread_starts(tmp_path, session, trainer):
    trainer(short_run)
    config = write_recipe(tmp_path)
    (config / "config.json").write_text('{"model_type": "lora",', encoding="utf-8")
    with pytest.raises(ConfigFileBroken):
        session.start(config)
    assert not session.running
    assert not (tmp_path / "run" / "events.jsonl").exists()
    (config / "config.json").unlink()
    finish(session, write_recipe(tmp_path))
    assert session.outcome == "finished"


def test_pause_resume_and_stop(tmp_path, session, trainer):
    trainer(until_stopped)
    session.start(write_recipe(tmp_path))
    session.pause()
    wait_for(lambda: session.view.state == "paused")
    session.resume()
    wait_for(lambda: session.view.state == "running")
    assert not session.stopping
    session.close()
    assert not session.stopping
    assert session.outcome == "stopped"
    assert session.view.checkpoints[0].step == 1


def test_control_reaches_the_trainer_and_starts_anew_with_each_run(tmp_path, session, trainer):
    seen = []

    def look(plan, emit, control):
        seen.append((control.stop.is_set(), control.sample_now.is_set(), control.save_now.is_set()))
        short_run(plan, emit, control)

    trainer(look)
    session.stop()
    session.sample_now()
    session.save_now()
    finish(session, write_recipe(tmp_path))
    assert seen == [(False, False, False)]


def test_an_error_of_ours_ends_as_its_sentence(tmp_path, session, trainer):
    def diverge(plan, emit, control):
        begin(plan, emit)
        raise LossDiverged(
            "The loss is not a number.", Advice("Lower it.", {"optimization.learning_rate": 1e-5})
        )

    trainer(diverge)
    finish(session, write_recipe(tmp_path))
    assert session.outcome == "failed"
    assert session.view.failure.message == "The loss is not a number."
    assert session.view.failure.advice[0].change == {"optimization.learning_rate": 1e-5}
    assert not session.view.failure.unexpected
    assert "Traceback" not in (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
    assert read_run(tmp_path / "run").failure == session.view.failure


@pytest.mark.parametrize("thrown", [ZeroDivisionError("odd"), SystemExit(3)])
def test_an_error_of_somebody_else_keeps_its_traceback_in_the_log(tmp_path, session, trainer, thrown):
    def stumble(plan, emit, control):
        raise thrown

    trainer(stumble)
    finish(session, write_recipe(tmp_path))
    assert session.view.failure.unexpected
    assert isinstance(session.error, Unexpected)
    log = (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
    assert "Traceback" in log
    assert type(thrown).__name__ in log


def test_what_the_trainer_held_is_freed_after_a_failure(tmp_path, session, trainer):
    """A traceback that is kept keeps every local of every frame: here the model and its memory."""

    class Model:
        pass

    alive = []

    def run(plan, emit, control):
        model = Model()
        alive.append(weakref.ref(model))
        try:
            raise ValueError("inner")
        except ValueError as inner:
            raise LossDiverged("outer") from inner

    trainer(run)
    finish(session, write_recipe(tmp_path))
    gc.collect()
    assert session.error is not None
    assert alive[0]() is None


def test_a_full_disk_ends_the_run_with_a_sentence(tmp_path, session, trainer):
    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

    def fill(plan, emit, control):
        begin(plan, emit)
        session._journal = Full()
        emit(step(1))

    trainer(fill)
    finish(session, write_recipe(tmp_path))
    assert session.view.failure.message == "The disk is full."


def test_a_resumed_run_goes_on_in_the_same_journal(tmp_path, session, trainer):
    def half(plan, emit, control):
        begin(plan, emit)
        for number in range(plan.first_step + 1, plan.first_step + 4):
            emit(step(number))
        write_checkpoint(plan.folder.path, plan.first_step + 3)
        emit(CheckpointSaved(step=plan.first_step + 3, path=str(plan.folder.checkpoint(plan.first_step + 3))))
        emit(RunStopped(step=plan.first_step + 3))

    trainer(half)
    config = write_recipe(tmp_path)
    finish(session, config)
    again = Session(tmp_path)
    finish(again, config)
    assert (again.view.first_step, again.view.step) == (3, 6)
    assert [point.step for point in again.view.curve] == [1, 2, 3, 4, 5, 6]
    assert [point.step for point in read_run(tmp_path / "run").curve] == [1, 2, 3, 4, 5, 6]


def test_a_run_from_the_start_sets_the_earlier_one_aside(tmp_path, session, trainer):
    trainer(short_run)
    config = write_recipe(tmp_path, resume_from_checkpoint="")
    write_checkpoint(tmp_path / "run", 10)
    (tmp_path / "run" / "cache").mkdir()
    finish(session, config)
    assert (tmp_path / "run" / "earlier-1" / "checkpoint-10" / "training_state.json").is_file()
    assert (tmp_path / "run" / "earlier-1" / "config" / "config.json").is_file()
    assert RunFolder(tmp_path / "run").checkpoints() == []
    assert (tmp_path / "run" / "cache").is_dir()
    assert set_aside(RunFolder(tmp_path / "run")).name == "earlier-2"


def test_the_run_folder_keeps_its_own_copy_of_the_files(tmp_path, session, trainer):
    trainer(short_run)
    config = write_recipe(tmp_path, output_dir=str(tmp_path / "elsewhere"))
    finish(session, config)
    copied = prepare(tmp_path / "elsewhere")
    assert copied.settings == session.plan.settings


def test_the_run_folder_keeps_what_was_written_not_what_the_flavour_fills_in(tmp_path, session, trainer):
    trainer(short_run)
    words = {"model_flavour": "libreflux", "output_dir": str(tmp_path / "elsewhere")}
    finish(session, write_recipe(tmp_path, **words))
    assert session.plan.settings.objective.flux_attention_masked_training
    copied = load_all(tmp_path / "elsewhere").settings
    assert not copied.objective.flux_attention_masked_training


def test_opening_an_earlier_run(tmp_path, session, trainer):
    trainer(short_run)
    finish(session, write_recipe(tmp_path))
    fresh = Session(tmp_path)
    view = fresh.open(tmp_path / "run")
    assert (view.state, view.step, view.run) == ("finished", 10, "run")
    assert fresh.open(tmp_path / "run").sequence > view.sequence
    with pytest.raises(RunMissing):
        fresh.open(tmp_path / "pictures")


def test_while_a_run_goes_on_only_that_one_can_be_opened(tmp_path, session, trainer):
    trainer(until_stopped)
    session.start(write_recipe(tmp_path))
    assert session.open(tmp_path / "run") is session.view
    with pytest.raises(TunerError, match="is going on"):
        session.open(tmp_path / "other")
    with pytest.raises(TunerError, match="no memory"):
        session.render(tmp_path / "run", [SampleRequest("a sks", 1)])


def test_a_journal_that_breaks_off_in_the_middle_of_a_line(tmp_path, session, trainer):
    trainer(short_run)
    config = write_recipe(tmp_path)
    finish(session, config)
    journal = tmp_path / "run" / "events.jsonl"
    whole = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(whole[:3]) + whole[3][:20])
    view = read_run(tmp_path / "run")
    assert (view.state, view.step) == ("stopped", 1)
    assert "Line 4" in view.warnings[0].text
    finish(session, config)
    assert read_run(tmp_path / "run").state == "finished"


@pytest.mark.parametrize(
    "line", [b"\xff\xfe", b"[]", b'{"event": "Nonsense"}', b'{"event": "StepDone"}', b"{}"]
)
def test_any_damaged_line_is_left_out_and_told(tmp_path, session, trainer, line):
    trainer(short_run)
    finish(session, write_recipe(tmp_path))
    with (tmp_path / "run" / "events.jsonl").open("ab") as journal:
        journal.write(line + b"\n")
    view = read_run(tmp_path / "run")
    assert view.state == "finished"
    assert len(view.warnings) == 2


def test_runs_are_listed_latest_first(tmp_path, session):
    for name in ("old", "new"):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "events.jsonl").touch()
    (tmp_path / "runs" / "empty").mkdir()
    newer = (tmp_path / "runs" / "old" / "events.jsonl").stat().st_mtime + 5
    os.utime(tmp_path / "runs" / "new" / "events.jsonl", (newer, newer))
    assert [run.name for run in session.runs()] == ["new", "old"]


def test_the_log_handler_leaves_with_the_run(tmp_path, session, trainer):
    rooms = logging.getLogger("tuner")
    before = list(rooms.handlers), rooms.level
    trainer(short_run)
    finish(session, write_recipe(tmp_path))
    assert (list(rooms.handlers), rooms.level) == before


def test_export_needs_a_checkpoint(tmp_path, session):
    config = write_recipe(tmp_path)
    with pytest.raises(RunMissing, match="no checkpoint"):
        session.export(config.parent)
    write_checkpoint(tmp_path / "run", 4)
    with pytest.raises(RunMissing, match="has those of 4"):
        session.export(config.parent, step=3)


def test_export_writes_the_newest_checkpoint_or_the_one_asked_for(tmp_path, session, monkeypatch):
    calls = []
    door = SimpleNamespace(
        Finished=lambda settings, folder, checkpoint, step, file: (settings.trigger, checkpoint, step),
        export_adapter=lambda *given: calls.append(given) or "report",
        write_expected=lambda *given: calls.append(given),
    )
    monkeypatch.setitem(sys.modules, "tuner.training.exporting", door)
    monkeypatch.setattr("tuner.training.exporting", door, raising=False)
    run = write_recipe(tmp_path).parent
    write_checkpoint(run, 2)
    write_checkpoint(run, 4)
    assert session.export(run) == "report"
    session.export(run, tmp_path / "loras", dtype="bfloat16", step=2)
    session.export(run, tmp_path / "cat.safetensors", expected=tmp_path / "judge.safetensors")
    newest, older = ("sks", run / "checkpoint-4", 4), ("sks", run / "checkpoint-2", 2)
    assert calls == [
        (newest, run / "exports" / "run.safetensors", "comfyui", "float32"),
        (older, tmp_path / "loras" / "run.safetensors", "comfyui", "bfloat16"),
        (newest, tmp_path / "cat.safetensors", "comfyui", "float32"),
        (newest, tmp_path / "judge.safetensors"),
    ]


def test_what_was_chosen_is_exported(tmp_path, session, monkeypatch):
    taken = []
    door = SimpleNamespace(
        Finished=lambda settings, folder, checkpoint, step, file: taken.append((step, file)),
        export_adapter=lambda *given: "report",
    )
    monkeypatch.setitem(sys.modules, "tuner.training.exporting", door)
    monkeypatch.setattr("tuner.training.exporting", door, raising=False)
    run = RunFolder(write_recipe(tmp_path).parent)
    for step in (2, 4):
        write_checkpoint(run.path, step)
    choice.choose_step(run, 2)
    session.export(run.path)
    session.export(run.path, step=4)
    choice.choose_mean(run, True)
    with pytest.raises(RunMissing, match="step 2 holds no 'ema/"):
        session.export(run.path)
    mean = run.checkpoint(2) / EMA_ADAPTER_FILE
    mean.parent.mkdir()
    mean.touch()
    session.export(run.path)
    assert taken == [(2, ADAPTER_FILE), (4, ADAPTER_FILE), (2, EMA_ADAPTER_FILE)]
    choice.choose_step(run, 3)
    with pytest.raises(RunMissing, match="no checkpoint of step 3; it has those of 2, 4"):
        session.export(run.path)


def test_a_choice_goes_aside_with_its_run(tmp_path, session):
    run = RunFolder(write_recipe(tmp_path).parent)
    choice.choose_step(run, 2)
    set_aside(run)
    assert choice.step(run) is None


def test_render_opens_the_door_to_previews(tmp_path, session, monkeypatch):
    fake = SimpleNamespace(
        render=lambda settings, requests, adapter: iter([(settings.trigger, *requests, adapter)])
    )
    monkeypatch.setitem(sys.modules, "tuner.training.previews", fake)
    request = SampleRequest("a sks", 1)
    made = list(session.render(write_recipe(tmp_path), [request], tmp_path / "a.safetensors"))
    assert made == [("sks", request, tmp_path / "a.safetensors")]


def test_variables_of_config_env_are_set_while_the_run_goes_on(tmp_path, session, trainer):
    seen = []

    def run(plan, emit, control) -> None:
        seen.append(os.environ.get("FOR_THE_LIBRARIES"))
        short_run(plan, emit, control)

    config = write_recipe(tmp_path)
    (config / "config.env").write_text("export FOR_THE_LIBRARIES='yes'\n", encoding="utf-8")
    trainer(run)
    finish(session, config)
    assert seen == ["yes"] and "FOR_THE_LIBRARIES" not in os.environ

"""`train` and `practice`: what they start, what they say at the end, and with which exit code."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import trained
from tests.recipe import write_checkpoint, write_recipe
from tuner import presets
from tuner.errors import Advice, LossDiverged, ModelMissing
from tuner.events import RunStarted, RunStopped
from tuner.practice import exam

ROOT = Path(__file__).parents[2]


def test_train_to_the_end(tmp_path, call, trainer):
    result = call("train", write_recipe(tmp_path))
    assert result.code == 0
    assert result.out.splitlines() == [
        "finished: 10 of 10 steps",
        f"LoRA: {tmp_path / 'run' / 'exports' / 'cat.safetensors'}",
    ]
    assert "Saved" in result.err


def test_train_reports_one_object(tmp_path, call, trainer):
    write_recipe(tmp_path)
    result = call("train", tmp_path / "run", "--json")
    assert result.code == 0
    assert (result.json["outcome"], result.json["step"], result.json["error"]) == ("finished", 10, None)
    assert result.json["exports"] == [str(tmp_path / "run" / "exports" / "cat.safetensors")]


def test_several_runs_go_in_turn_and_on_after_a_failure(tmp_path, call, trainer):
    def play(plan, emit, control):
        if "bad" in str(plan.folder.path):
            raise LossDiverged("The loss is not a number.")
        trained(plan, emit, control)

    trainer(play)
    places = [tmp_path / name for name in ("bad", "nowhere", "good")]
    for place in (places[0], places[2]):
        write_recipe(place)
    result = call("train", *(place / "run" for place in places), "--json")
    assert result.code == 1
    bad, missing, good = result.json["runs"]
    assert (bad["outcome"], good["outcome"]) == ("failed", "finished")
    assert "no folder" in missing["error"]["message"]
    assert "no folder" in result.err


def test_a_stop_stops_those_that_wait_too(tmp_path, call, trainer):
    def stopped(plan, emit, control):
        emit(RunStarted(run="run", phases=("train",), num_steps=plan.num_steps))
        emit(RunStopped(step=4))

    trainer(stopped)
    config = write_recipe(tmp_path)
    result = call("train", config, config)
    assert result.code == 3
    assert [line.partition(": ")[2][:7] for line in result.out.splitlines()] == ["stopped"]


def test_a_finished_run_says_so(tmp_path, call, trainer):
    config = write_recipe(tmp_path)
    assert call("train", config).code == 0
    again = call("train", config)
    assert again.code == 2
    assert "max_train_steps" in again.err


def test_a_stopped_run_ends_with_three(tmp_path, call, trainer):
    def stopped(plan, emit, control):
        emit(RunStarted(run="run", phases=("train",), num_steps=plan.num_steps))
        emit(RunStopped(step=4))

    trainer(stopped)
    result = call("train", write_recipe(tmp_path), "--json")
    assert result.code == 3
    assert result.json["outcome"] == "stopped"


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (LossDiverged("Not a number.", Advice("Lower the rate.")), 1, "Not a number. Lower the rate."),
        (ModelMissing("There is no model."), 2, "There is no model."),
        (ZeroDivisionError("odd"), 1, "log.txt"),
    ],
)
def test_a_failed_run_is_one_sentence(tmp_path, call, trainer, error, code, sentence):
    def fail(plan, emit, control):
        raise error

    trainer(fail)
    result = call("train", write_recipe(tmp_path), "--json")
    assert result.code == code
    assert sentence in result.err
    assert "Traceback" not in result.err
    assert result.json["outcome"] == "failed"
    assert result.json["error"]["message"] in result.err


FAKE_TRAINER = """
import runpy, sys, types
from tuner.events import RunStarted, RunStopped
def run(plan, emit, control):
    emit(RunStarted(run="run", phases=("train",), num_steps=10))
    print("ready", flush=True)
    control.stop.wait(60)
    emit(RunStopped(step=4))
sys.modules["tuner.training.run"] = types.SimpleNamespace(run=run)
sys.argv = ["tuner", "train", sys.argv[1]]
runpy.run_module("tuner", run_name="__main__")
"""


def _heed_signals() -> None:
    """A shell that starts something in the background has it ignore Ctrl-C, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_run_in_order(tmp_path, kind):
    config = write_recipe(tmp_path)
    command = [sys.executable, "-c", FAKE_TRAINER, str(config)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, preexec_fn=_heed_signals, **pipes) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(kind)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert out == "stopped: 4 of 10 steps\n"
    last = (tmp_path / "run" / "events.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    assert json.loads(last)["event"] == "RunStopped"


@pytest.fixture
def practice_recipe(workplace, monkeypatch):
    """In place of the practice preset: the small recipe, with the practice's run folder."""
    applied = []

    def apply(name, folder, change):
        applied.append((name, dict(change)))
        seed = change.get("optimization.seed")
        written = write_recipe(workplace, output_dir="runs/practice", seed=seed)
        folder.mkdir(parents=True, exist_ok=True)
        for path in written.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        return folder

    monkeypatch.setattr(presets, "apply", apply)
    monkeypatch.setattr(exam, "grade", lambda base, tuned: exam.Grade(score=0.794, base=0.281))
    return applied


def test_practice_trains_examines_and_says_where_things_are(
    workplace, call, trainer, painter, practice_recipe
):
    result = call("practice")
    assert result.code == 0
    assert result.out.splitlines() == [
        "practice: learned 0.79 (base 0.28)",
        f"LoRA:  {workplace / 'runs' / 'practice' / 'exports' / 'cat.safetensors'}",
        f"Sheet: {workplace / 'runs' / 'practice' / 'sheet.png'}",
    ]
    assert (workplace / "runs" / "practice" / "sheet.png").is_file()
    assert practice_recipe == [("practice", {})]
    (_, base, untuned), (_, tuned, adapter) = painter
    assert base == tuned == exam.questions()
    assert untuned is None
    assert adapter == Path("runs/practice/checkpoint-10/pytorch_lora_weights.safetensors")


def test_practice_reports_one_object(call, trainer, painter, practice_recipe):
    result = call("practice", "--seed", "5", "--json")
    assert (result.json["score"], result.json["base"], result.json["passed"]) == (0.794, 0.281, True)
    assert Path(result.json["sheet"]).is_file()
    assert practice_recipe == [("practice", {"optimization.seed": 5})]


def test_practice_again_begins_afresh_and_keeps_what_was(workplace, call, trainer, painter, practice_recipe):
    assert call("practice").code == 0
    assert call("practice").code == 0
    kept = workplace / "runs" / "practice" / "earlier-1"
    assert (kept / "checkpoint-10").is_dir()
    assert (kept / "exports" / "cat.safetensors").is_file()
    assert (kept / "sheet.png").is_file()
    assert len(practice_recipe) == 2


def stops_halfway(plan, emit, control) -> None:
    emit(RunStarted(run="practice", phases=("train",), num_steps=plan.num_steps, first_step=plan.first_step))
    write_checkpoint(plan.folder.path, 5)
    emit(RunStopped(step=5))


def test_practice_goes_on_where_it_was_stopped(call, trainer, painter, practice_recipe):
    started = []
    trainer(stops_halfway)
    result = call("practice", "--json")
    assert (result.code, result.json["outcome"]) == (3, "stopped")
    assert painter == []
    trainer(lambda plan, emit, control: (started.append(plan.first_step), trained(plan, emit, control)))
    assert call("practice").code == 0
    assert started == [5]
    assert len(practice_recipe) == 1


def test_practice_with_another_seed_does_not_go_on(call, trainer, painter, practice_recipe):
    trainer(stops_halfway)
    assert call("practice", "--seed", "1").code == 3
    trainer(trained)
    assert call("practice", "--seed", "2").code == 0
    assert len(practice_recipe) == 2


def test_practice_takes_a_precision(call, trainer, painter, practice_recipe):
    trainer(stops_halfway)
    assert call("practice").code == 3
    assert call("practice", "--precision", "nf4-bnb").code == 3
    assert practice_recipe[1] == ("practice", {"memory.base_model_precision": "nf4-bnb"})
    assert call("practice", "--precision", "int8-torchao").code == 2


def test_practice_takes_a_lycoris_file_and_a_learning_rate(tmp_path, call, trainer, painter, practice_recipe):
    trainer(stops_halfway)
    path = tmp_path / "lokr.json"
    assert call("practice", "--lycoris", path).code == 2
    path.write_text('{"algo": "lokr"}', encoding="utf-8")
    assert call("practice", "--lycoris", path, "--learning-rate", "0.004").code == 3
    assert practice_recipe == [
        (
            "practice",
            {
                "optimization.learning_rate": 0.004,
                "adapter.lora_type": "lycoris",
                "lycoris": {"algo": "lokr"},
            },
        )
    ]


def test_practice_after_a_failure_begins_afresh(workplace, call, trainer, painter, practice_recipe):
    def diverge(plan, emit, control):
        stops_halfway(plan, lambda event: None, control)
        raise LossDiverged("Not a number.")

    trainer(diverge)
    assert call("practice").code == 1
    trainer(trained)
    assert call("practice").code == 0
    assert len(practice_recipe) == 2


def test_practice_with_a_broken_recipe_begins_afresh(workplace, call, trainer, painter, practice_recipe):
    trainer(stops_halfway)
    assert call("practice").code == 3
    (workplace / "runs" / "practice" / "config" / "config.json").write_text("{", encoding="utf-8")
    trainer(trained)
    result = call("practice")
    assert result.code == 0
    assert "begins afresh" in result.err

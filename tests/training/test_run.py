"""One run end to end on a tiny FLUX: what it says, what it leaves, and that a break changes nothing."""

import threading
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.training.conftest import plan_of
from tuner.errors import CheckpointMismatch, LossDiverged
from tuner.events import (
    CheckpointSaved,
    Event,
    Exported,
    Paused,
    PhaseSkipped,
    PhaseStarted,
    RunFinished,
    RunStarted,
    RunStopped,
    SampleReady,
    StepDone,
    Warned,
)
from tuner.files.run_folder import ADAPTER_FILE
from tuner.settings.run import RunSettings
from tuner.training import live as live_module
from tuner.training import prepare as prepare_module
from tuner.training.control import Control
from tuner.training.run import run

GOLDEN = [3.037088, 3.187467, 3.072743, 3.324215, 2.976403, 3.095512]


def _run(settings: RunSettings, **optimization: object) -> list[Event]:
    said: list[Event] = []
    run(plan_of(settings, **optimization), said.append, Control())
    return said


def _losses(said: list[Event]) -> list[float]:
    return [one.loss for one in said if isinstance(one, StepDone)]


def _in(settings: RunSettings, folder: Path) -> RunSettings:
    return replace(settings, saving=replace(settings.saving, output_dir=str(folder)))


def test_a_run_from_pictures_to_export(settings: RunSettings) -> None:
    said = _run(settings)
    assert isinstance(said[0], RunStarted) and said[0].num_steps == 6
    assert isinstance(said[-1], RunFinished)
    assert [one.name for one in said if isinstance(one, PhaseStarted)] == [
        "text",
        "latents",
        "load",
        "train",
        "export",
    ]
    steps = [one for one in said if isinstance(one, StepDone)]
    assert [one.step for one in steps] == [1, 2, 3, 4, 5, 6]
    assert [one.lr for one in steps][:3] == pytest.approx([5e-4, 1e-3, 1e-3])
    assert [one.step for one in said if isinstance(one, CheckpointSaved)] == [2, 4, 6]
    samples = [one for one in said if isinstance(one, SampleReady)]
    assert [one.step for one in samples] == [0, 3, 6]
    with Image.open(samples[-1].path) as picture:
        assert picture.size == (64, 64)
    (exported,) = (one for one in said if isinstance(one, Exported))
    tensors = load_file(exported.path)
    assert len(tensors) == exported.num_tensors and any(key.endswith(".alpha") for key in tensors)
    trained = load_file(Path(settings.saving.output_dir) / "checkpoint-6" / ADAPTER_FILE)
    assert any(value.any() for key, value in trained.items() if "lora_B" in key)


def test_the_losses_of_six_steps_are_known(settings: RunSettings) -> None:
    """Another number here means another training: whoever changes one says why in the same commit."""
    assert _losses(_run(settings)) == pytest.approx(GOLDEN, rel=1e-4)


def test_the_second_start_encodes_nothing_and_gives_the_same_losses(
    settings: RunSettings, tmp_path: Path
) -> None:
    shared = replace(settings, dataset=replace(settings.dataset, cache_dir=str(tmp_path / "cache")))
    first, second = (_run(_in(shared, tmp_path / name)) for name in ("one", "two"))
    assert [one.name for one in second if isinstance(one, PhaseSkipped)] == ["text", "latents"]
    assert _losses(first) == _losses(second)


def test_resume_equals_no_break_bit_for_bit(settings: RunSettings, tmp_path: Path) -> None:
    whole, broken = _in(settings, tmp_path / "whole"), _in(settings, tmp_path / "broken")
    unbroken = _run(whole)
    first_half = _run(broken, max_train_steps=4)
    rest = _run(broken)
    assert rest[0].first_step == 4
    assert _losses(first_half) + _losses(rest) == _losses(unbroken)
    ours, theirs = (
        load_file(tmp_path / name / "checkpoint-6" / ADAPTER_FILE) for name in ("broken", "whole")
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_stop_saves_a_checkpoint_first(settings: RunSettings) -> None:
    control, said = Control(), []

    def listen(event: Event) -> None:
        said.append(event)
        if isinstance(event, StepDone) and event.step == 3:
            control.stop.set()

    run(plan_of(settings), listen, control)
    assert isinstance(said[-1], RunStopped) and said[-1].step == 3
    assert (Path(settings.saving.output_dir) / "checkpoint-3" / ADAPTER_FILE).is_file()


def test_sample_now_and_save_now_are_obeyed_once(settings: RunSettings) -> None:
    control, said = Control(), []

    def listen(event: Event) -> None:
        said.append(event)
        if isinstance(event, StepDone) and event.step == 1:
            control.sample_now.set()
            control.save_now.set()

    run(plan_of(settings), listen, control)
    assert [one.step for one in said if isinstance(one, SampleReady)] == [0, 1, 3, 6]
    assert [one.step for one in said if isinstance(one, CheckpointSaved)] == [1, 2, 4, 6]


def test_a_pause_gives_the_memory_back_and_goes_on_with_the_same_step(
    settings: RunSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    control, said = Control(), []
    models: list[weakref.ref[Any]] = []

    def prepare(*given: Any) -> Any:
        prepared = prepare_module.prepare(*given)
        models.append(weakref.ref(prepared.trainee.transformer))
        return prepared

    def listen(event: Event) -> None:
        said.append(event)
        if isinstance(event, StepDone) and event.step == 2:
            control.pause.set()
        if isinstance(event, Paused):
            assert [model() for model in models] == [None]
            threading.Timer(0.2, control.pause.clear).start()

    monkeypatch.setattr(live_module, "prepare", prepare)
    run(plan_of(settings), listen, control)
    names = [type(one).__name__ for one in said]
    assert names.index("Paused") < names.index("Resumed") and len(models) == 2
    assert _losses(said) == _losses(_run(_in(settings, Path(settings.saving.output_dir).with_name("other"))))


def test_old_checkpoints_are_removed(settings: RunSettings) -> None:
    _run(replace(settings, saving=replace(settings.saving, checkpoints_total_limit=2)))
    left = sorted(path.name for path in Path(settings.saving.output_dir).glob("checkpoint-*"))
    assert left == ["checkpoint-4", "checkpoint-6"]


def test_a_loss_that_is_not_a_number_ends_the_run_in_words(settings: RunSettings) -> None:
    with pytest.raises(LossDiverged, match="not a number at step"):
        _run(settings, learning_rate=1e30, max_grad_norm=0.0)


def test_a_checkpoint_of_another_rank_is_refused(settings: RunSettings) -> None:
    _run(settings, max_train_steps=2)
    with pytest.raises(CheckpointMismatch, match="does not fit these settings"):
        _run(replace(settings, adapter=replace(settings.adapter, lora_rank=8)))


def test_checkpointing_of_activations_changes_no_loss(settings: RunSettings, tmp_path: Path) -> None:
    plain = replace(settings, adapter=replace(settings.adapter, lora_dropout=0.0))
    saving = replace(plain, memory=replace(plain.memory, gradient_checkpointing=True))
    first, second = _run(_in(plain, tmp_path / "a")), _run(_in(saving, tmp_path / "b"))
    assert _losses(first) == pytest.approx(_losses(second), rel=1e-6)


def test_bf16_trains_with_a_float32_adapter(settings: RunSettings) -> None:
    said = _run(replace(settings, model=replace(settings.model, mixed_precision="bf16")), max_train_steps=2)
    assert isinstance(said[-1], RunFinished)
    saved = load_file(Path(settings.saving.output_dir) / "checkpoint-2" / ADAPTER_FILE)
    assert {value.dtype for value in saved.values()} == {torch.float32}


def test_other_pictures_after_a_break_are_told(settings: RunSettings, tmp_path: Path) -> None:
    _run(settings, max_train_steps=2)
    (one,) = settings.datasets
    said = _run(replace(settings, datasets=(replace(one, repeats=3),)))
    assert any("pictures have changed" in event.text for event in said if isinstance(event, Warned))

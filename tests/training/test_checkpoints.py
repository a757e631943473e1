"""What a checkpoint holds, which are kept, and that a run goes on from it as if there had been no break."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline
from safetensors import safe_open
from safetensors.torch import load_file

from tests.training.conftest import plan_of
from tuner.errors import CheckpointMismatch
from tuner.events import CheckpointSaved, Event, Exported, StepDone
from tuner.files.run_folder import ADAPTER_FILE, EMA_ADAPTER_FILE, RunFolder
from tuner.settings.run import RunSettings
from tuner.training import checkpoints
from tuner.training.control import Control
from tuner.training.run import run


def _run(settings: RunSettings, control: Control | None = None, **optimization: object) -> list[Event]:
    said: list[Event] = []
    run(plan_of(settings, **optimization), said.append, control or Control())
    return said


def _losses(said: list[Event]) -> list[float]:
    return [one.loss for one in said if isinstance(one, StepDone)]


def _saving(settings: RunSettings, **values: Any) -> RunSettings:
    return replace(settings, saving=replace(settings.saving, **values))


def _with_ema(settings: RunSettings, **values: Any) -> RunSettings:
    return replace(settings, optimization=replace(settings.optimization, use_ema=True, **values))


def _folder(settings: RunSettings) -> Path:
    return Path(settings.saving.output_dir)


def _names(settings: RunSettings) -> list[str]:
    return sorted(path.name for path in _folder(settings).iterdir() if "checkpoint" in path.name)


def _same(one: Path, other: Path) -> bool:
    ours, theirs = load_file(one), load_file(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.fixture
def quiet(settings: RunSettings, encoded: str) -> RunSettings:
    """Without previews, which play no part here."""
    return replace(
        settings,
        sampling=replace(settings.sampling, validation_disable=True),
        dataset=replace(settings.dataset, cache_dir=encoded),
    )


def test_the_files_of_a_checkpoint(quiet: RunSettings) -> None:
    _run(_with_ema(_saving(quiet, tracker_run_name="House 7")), max_train_steps=2)
    folder = _folder(quiet) / "checkpoint-2"
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*")) == [
        "ema/pytorch_lora_weights.safetensors",
        "optimizer.safetensors",
        "pytorch_lora_weights.safetensors",
        "random_states.safetensors",
        "training_state.json",
    ]
    assert json.loads((folder / "training_state.json").read_text())["global_step"] == 2
    with safe_open(folder / ADAPTER_FILE, "pt") as file:
        about = file.metadata()
    assert about["format"] == "pt"
    assert (about["modelspec.title"], about["global_step"]) == ("House 7", "2")
    assert about["modelspec.architecture"] == "flux-1-dev/lora"


def test_a_checkpoint_is_a_lora_that_diffusers_reads_with_its_alpha(quiet: RunSettings) -> None:
    chosen = replace(quiet, adapter=replace(quiet.adapter, lora_alpha=2.0))
    _run(chosen, max_train_steps=2)
    state, alphas = FluxPipeline.lora_state_dict(
        str(_folder(quiet) / "checkpoint-2"), return_alphas=True, weight_name=ADAPTER_FILE
    )
    assert state and {alpha.item() for alpha in alphas.values()} == {2.0}


@pytest.mark.parametrize("ema", [{}, {"ema_update_interval": 2}, {"ema_warmup_steps": 3, "ema_decay": 0.5}])
def test_resume_with_the_mean_equals_no_break_bit_for_bit(
    quiet: RunSettings, tmp_path: Path, ema: dict[str, Any]
) -> None:
    chosen = _with_ema(quiet, **ema)
    whole, broken = (_saving(chosen, output_dir=str(tmp_path / name)) for name in ("whole", "broken"))
    unbroken = _run(whole)
    assert _losses(_run(broken, max_train_steps=4)) + _losses(_run(broken)) == _losses(unbroken)
    for file in (ADAPTER_FILE, EMA_ADAPTER_FILE, "optimizer.safetensors"):
        assert _same(*(_folder(one) / "checkpoint-6" / file for one in (whole, broken)))
    last = _folder(whole) / "checkpoint-6"
    assert not _same(last / ADAPTER_FILE, last / EMA_ADAPTER_FILE)


def test_a_save_in_between_changes_no_bit_of_a_schedule_free_run(quiet: RunSettings, tmp_path: Path) -> None:
    """It hands over its average and goes on from its training point; the unbroken run saves nothing there."""
    chosen = _saving(quiet, checkpoint_step_interval=0)
    whole, broken = (_saving(chosen, output_dir=str(tmp_path / name)) for name in ("whole", "broken"))
    changes: dict[str, object] = {"optimizer": "adamw_schedulefree", "use_ema": True}
    unbroken = _run(whole, **changes)
    parts = [_run(broken, max_train_steps=3, **changes), _run(broken, **changes)]
    assert [loss for said in parts for loss in _losses(said)] == _losses(unbroken)
    for file in (ADAPTER_FILE, EMA_ADAPTER_FILE, "optimizer.safetensors"):
        assert _same(*(_folder(one) / "checkpoint-6" / file for one in (whole, broken)))


def test_the_mean_changes_no_loss_and_is_exported_beside_the_lora(quiet: RunSettings, tmp_path: Path) -> None:
    with_mean, without = _run(_with_ema(_saving(quiet, output_dir=str(tmp_path / "ema")))), _run(quiet)
    assert _losses(with_mean) == _losses(without)
    names = [Path(one.path).name for one in with_mean if isinstance(one, Exported)]
    assert names == ["ema-000006-ema.safetensors", "ema-000006.safetensors"]
    assert len([one for one in without if isinstance(one, Exported)]) == 1
    mean, plain = (tmp_path / "ema" / "exports" / name for name in names)
    assert load_file(mean).keys() == load_file(plain).keys() and not _same(mean, plain)
    (alone,) = (one.path for one in without if isinstance(one, Exported))
    assert _same(plain, Path(alone))


def test_a_mean_that_was_switched_on_later_begins_with_the_adapter(quiet: RunSettings) -> None:
    _run(quiet, max_train_steps=4)
    _run(_with_ema(quiet, ema_update_interval=100))
    last = _folder(quiet)
    assert _same(last / "checkpoint-6" / EMA_ADAPTER_FILE, last / "checkpoint-4" / ADAPTER_FILE)


def test_rolling_checkpoints_are_a_row_of_their_own(quiet: RunSettings) -> None:
    chosen = _saving(quiet, checkpoint_step_interval=4, checkpointing_rolling_steps=1)
    said = _run(chosen)
    assert [Path(one.path).name for one in said if isinstance(one, CheckpointSaved)] == [
        "checkpoint-1-rolling",
        "checkpoint-2-rolling",
        "checkpoint-3-rolling",
        "checkpoint-4",
        "checkpoint-5-rolling",
        "checkpoint-6",
    ]
    assert _names(quiet) == ["checkpoint-4", "checkpoint-5-rolling", "checkpoint-6"]


def test_each_row_has_its_own_limit(quiet: RunSettings) -> None:
    chosen = _saving(
        quiet,
        checkpoint_step_interval=2,
        checkpoints_total_limit=1,
        checkpointing_rolling_steps=1,
        checkpoints_rolling_total_limit=2,
    )
    _run(chosen)
    assert _names(quiet) == ["checkpoint-3-rolling", "checkpoint-5-rolling", "checkpoint-6"]


def test_the_latest_checkpoint_may_be_a_rolling_one(quiet: RunSettings, tmp_path: Path) -> None:
    whole = _saving(quiet, output_dir=str(tmp_path / "whole"))
    broken = _saving(quiet, checkpoint_step_interval=0, checkpointing_rolling_steps=1)
    unbroken = _run(whole)
    _run(broken, max_train_steps=4)
    shutil.rmtree(_folder(broken) / "checkpoint-4")
    rest = _run(broken)
    assert plan_of(broken, max_train_steps=7).resume_from == _folder(broken) / "checkpoint-6"
    assert _losses(rest) == _losses(unbroken)[3:]


def test_what_the_user_saves_is_kept(quiet: RunSettings) -> None:
    """A manual save where the rolling one is due is no rolling one."""
    control, said = Control(), []

    def listen(event: Event) -> None:
        said.append(event)
        if isinstance(event, StepDone) and event.step == 3:
            control.save_now.set()

    chosen = _saving(quiet, checkpoint_step_interval=0, checkpointing_rolling_steps=1)
    run(plan_of(chosen), listen, control)
    assert _names(quiet) == ["checkpoint-3", "checkpoint-5-rolling", "checkpoint-6"]


def test_epochs_have_checkpoints_too(quiet: RunSettings) -> None:
    """The 12 practice pictures in batches of 2 x 2 make an epoch of 3 steps."""
    chosen = _saving(quiet, checkpoint_step_interval=0, checkpoint_epoch_interval=1)
    said = _run(chosen, max_train_steps=7)
    assert [one.step for one in said if isinstance(one, CheckpointSaved)] == [3, 6, 7]


def _damage(checkpoint: Path, file: str) -> None:
    path = checkpoint / file
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    "file", [ADAPTER_FILE, EMA_ADAPTER_FILE, "optimizer.safetensors", "training_state.json"]
)
def test_a_damaged_checkpoint_is_refused_or_passed_over(quiet: RunSettings, file: str) -> None:
    chosen = _with_ema(quiet)
    _run(chosen, max_train_steps=4)
    _damage(_folder(chosen) / "checkpoint-4", file)
    with pytest.raises(CheckpointMismatch, match="checkpoint-4") as caught:
        plan_of(chosen)
    assert caught.value.advice[0].change["saving.delete_invalid_checkpoints"] is True
    plan = plan_of(_saving(chosen, delete_invalid_checkpoints=True))
    assert (plan.first_step, [path.name for path in plan.damaged]) == (2, ["checkpoint-4"])
    assert any("'checkpoint-4' is damaged" in note for note in plan.notes)
    assert (_folder(chosen) / "checkpoint-4").exists(), "a plan deletes nothing"
    said: list[Event] = []
    run(plan, said.append, Control())
    assert len(_losses(said)) == 4 and plan_of(chosen, max_train_steps=7).first_step == 6


def test_where_all_are_damaged_the_run_begins_afresh(quiet: RunSettings) -> None:
    _run(quiet, max_train_steps=2)
    _damage(_folder(quiet) / "checkpoint-2", ADAPTER_FILE)
    plan = plan_of(_saving(quiet, delete_invalid_checkpoints=True))
    assert (plan.first_step, plan.resume_from, len(plan.damaged)) == (0, None, 1)


def test_going_on_from_a_checkpoint_elsewhere(quiet: RunSettings, tmp_path: Path) -> None:
    first = _run(quiet)
    kept = shutil.move(_folder(quiet) / "checkpoint-4", tmp_path / "kept")
    other = _saving(quiet, output_dir=str(tmp_path / "other"), resume_from_checkpoint=str(kept))
    assert _losses(_run(other)) == _losses(first)[4:]
    assert _names(other) == ["checkpoint-6"]


def test_an_interrupted_save_leaves_nothing_half(quiet: RunSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    _run(quiet, max_train_steps=2)
    before = load_file(_folder(quiet) / "checkpoint-2" / ADAPTER_FILE)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(checkpoints, "_flush", full)
        _run(quiet, max_train_steps=4)
    assert _names(quiet) == ["checkpoint-2"]
    assert load_file(_folder(quiet) / "checkpoint-2" / ADAPTER_FILE).keys() == before.keys()
    assert _run(quiet)[0].first_step == 2


def test_a_resumed_run_takes_the_rate_of_the_settings(quiet: RunSettings) -> None:
    _run(quiet, max_train_steps=4)
    rest = [one.lr for one in _run(quiet, learning_rate=5e-4) if isinstance(one, StepDone)]
    assert rest == [5e-4, 5e-4]


def test_half_written_and_foreign_folders_are_no_checkpoints(tmp_path: Path) -> None:
    for name in (
        "checkpoint-5",
        "checkpoint-10-rolling",
        "checkpoint-10",
        "checkpoint-x",
        ".checkpoint-12.half",
    ):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoint-20").touch()
    found = [path.name for path in RunFolder(tmp_path).checkpoints()]
    assert found == ["checkpoint-5", "checkpoint-10-rolling", "checkpoint-10"]

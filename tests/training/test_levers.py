"""What stays off the card, or is computed twice, changes no loss of a run."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.conftest import plan_of
from tuner.adapters.adapter import Adapter
from tuner.errors import OutOfVram
from tuner.events import Event, RunFinished, StepDone, Warned
from tuner.files.change import changed
from tuner.flux.modulation import Modulation, Row, modulation_of
from tuner.flux.objective import predict_velocity
from tuner.plan.levers import Levers, asked
from tuner.plan.sizes import shape
from tuner.settings.run import RunSettings
from tuner.training import loop, models, prepare, previews
from tuner.training.control import Control
from tuner.training.hardware import Hardware
from tuner.training.prepare import load_with_adapter
from tuner.training.run import run
from tuner.view import from_events

FLOAT32 = Hardware(torch.device("cpu"), torch.float32)


@pytest.fixture
def quiet(settings: RunSettings, encoded: str) -> RunSettings:
    """Two steps without pictures, with the caches that all tests here share."""
    change = {"optimization.max_train_steps": 2, "sampling.validation_disable": True}
    return changed(settings, {"dataset.cache_dir": encoded, **change})


def _losses(settings: RunSettings, folder: Path, **change: Any) -> list[float]:
    said: list[Event] = []
    chosen = changed(settings, {"saving.output_dir": str(folder), **change})
    run(plan_of(chosen), said.append, Control())
    return [one.loss for one in said if isinstance(one, StepDone)]


@pytest.mark.parametrize("precision", ["no_change", "int8-quanto", "nf4-bnb"])
def test_streamed_blocks_give_the_same_losses_bit_for_bit(
    quiet: RunSettings, tmp_path: Path, precision: str
) -> None:
    base = changed(quiet, {"memory.base_model_precision": precision})
    streamed = _losses(base, tmp_path / "streamed", **{"memory.musubi_blocks_to_swap": 4})
    assert streamed == _losses(base, tmp_path / "plain")


def test_group_offload_streams_every_block(quiet: RunSettings, tmp_path: Path) -> None:
    all_of_them = changed(quiet, {"memory.enable_group_offload": True})
    assert asked(all_of_them, shape(quiet).blocks).streamed == shape(quiet).blocks
    assert _losses(all_of_them, tmp_path / "all") == _losses(quiet, tmp_path / "plain")


def test_a_table_of_modulation_gives_the_same_losses_but_for_rounding(
    quiet: RunSettings, tmp_path: Path
) -> None:
    evicted = _losses(quiet, tmp_path / "evicted", **{"memory.modulation_eviction": "always"})
    assert evicted == pytest.approx(_losses(quiet, tmp_path / "plain"), rel=1e-5)


def test_both_with_checkpointing_and_inputs_that_wait(quiet: RunSettings, tmp_path: Path) -> None:
    saving = {
        "memory.modulation_eviction": "always",
        "memory.musubi_blocks_to_swap": 3,
        "memory.gradient_checkpointing": True,
        "memory.gradient_checkpointing_backend": "unsloth",
    }
    assert _losses(quiet, tmp_path / "saving", **saving) == pytest.approx(
        _losses(quiet, tmp_path / "plain"), rel=1e-5
    )


def test_modulation_layers_are_not_even_read(quiet: RunSettings) -> None:
    transformer = models.load_transformer(quiet, FLOAT32, Levers(evicts=True))
    assert sum(isinstance(module, Row) for module in transformer.modules()) == 10
    assert modulation_of(transformer) is not None
    assert modulation_of(models.load_transformer(quiet, FLOAT32)) is None


@pytest.mark.parametrize("change", [{"adapter.use_dora": True}, {"adapter.lora_init_type": "pissa"}])
def test_adapters_see_the_weights_of_streamed_blocks(quiet: RunSettings, change: dict[str, Any]) -> None:
    chosen = changed(quiet, change)
    streamed = Levers(streamed=shape(quiet).blocks)
    ours, theirs = (load_with_adapter(chosen, FLOAT32, one)[1] for one in (streamed, Levers()))
    _same(ours, theirs)


def _same(ours: Adapter, theirs: Adapter) -> None:
    mine, yours = ours.tensors(), theirs.tensors()
    assert mine.keys() == yours.keys()
    assert all(torch.equal(mine[name], yours[name]) for name in yours)


def test_one_table_serves_all_steps_and_previews_have_their_own(
    quiet: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables: list[int] = []

    def counted(self: Modulation, *inputs: torch.Tensor) -> None:
        tables.append(len(inputs[0]))
        prepare(self, *inputs)

    prepare = Modulation.prepare
    monkeypatch.setattr(Modulation, "prepare", counted)
    chosen = {
        "memory.modulation_eviction": "always",
        "sampling.validation_disable": False,
        "sampling.validation_guidance_real": 2.0,
        "sampling.validation_no_cfg_until_timestep": 0,
    }
    _losses(quiet, tmp_path, **chosen)
    steps = plan_of(quiet).num_steps * quiet.optimization.gradient_accumulation_steps
    before, table, after = tables
    assert before == after == 2 * quiet.sampling.validation_num_inference_steps
    assert steps < table <= steps * quiet.optimization.train_batch_size


def test_a_run_with_a_table_goes_on_bit_for_bit(quiet: RunSettings, tmp_path: Path) -> None:
    evicted = changed(quiet, {"memory.modulation_eviction": "always", "optimization.max_train_steps": 4})
    whole = _losses(evicted, tmp_path / "whole")
    first = _losses(evicted, tmp_path / "broken", **{"optimization.max_train_steps": 2})
    assert first + _losses(evicted, tmp_path / "broken") == whole


def _runs_out_at(monkeypatch: pytest.MonkeyPatch, *calls: int) -> None:
    """As a card would, after everything was drawn: in these calls of the transformer, counted from 1."""
    number = count(1)

    def asked(*inputs: Any) -> torch.Tensor:
        if next(number) in calls:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return predict_velocity(*inputs)

    monkeypatch.setattr(loop, "predict_velocity", asked)


def test_a_step_that_did_not_fit_is_done_again_with_less_on_the_card(
    quiet: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two notches, the second one in the middle of a step; every loss is that of a run without trouble."""
    three = changed(quiet, {"optimization.max_train_steps": 3})
    plain = _losses(three, tmp_path / "plain")
    _runs_out_at(monkeypatch, 3, 7)
    said: list[Event] = []
    run(plan_of(changed(three, {"saving.output_dir": str(tmp_path / "tight")})), said.append, Control())
    assert [one.step for one in said if isinstance(one, StepDone)] == [1, 2, 3]
    assert [one.loss for one in said if isinstance(one, StepDone)] == pytest.approx(plain, rel=1e-5)
    first, second = [one.text for one in said if isinstance(one, Warned)]
    assert "goes on from step 1 with all blocks computed twice" in first
    assert "goes on from step 2 with the modulation layers off the card" in second
    assert isinstance(said[-1], RunFinished)


@pytest.mark.parametrize(
    ("optimizer", "broken", "goes_on_from"),
    [("adamw_bf16", 1, 0), ("adamw_schedulefree", 3, 2), ("prodigy", 4, 2)],
)
def test_an_update_that_did_not_fit_is_done_again_from_the_last_checkpoint(
    quiet: RunSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    optimizer: str,
    broken: int,
    goes_on_from: int,
) -> None:
    """Memory runs out behind the update, with every weight already another one: the worst moment."""
    change = {"optimization.max_train_steps": 5, "optimization.optimizer": optimizer}
    five = changed(quiet, {**change, "saving.checkpoint_step_interval": 2})
    plain = _losses(five, tmp_path / "plain")
    number = count(1)

    def runs_out(*_: Any) -> None:
        if next(number) == broken:
            raise torch.OutOfMemoryError("CUDA out of memory")

    plan = plan_of(changed(five, {"saving.output_dir": str(tmp_path / "tight")}))
    said: list[Event] = []
    with monkeypatch.context() as patched:
        built = prepare.optimizers.build

        def build(*given: Any) -> torch.optim.Optimizer:
            made = built(*given)
            made.register_step_post_hook(runs_out)
            return made

        patched.setattr(prepare.optimizers, "build", build)
        run(plan, said.append, Control())
    (warned,) = [one.text for one in said if isinstance(one, Warned)]
    assert f"goes on from step {goes_on_from} with" in warned
    steps = [(one.step, one.loss) for one in said if isinstance(one, StepDone)]
    assert [step for step, _ in steps] == [*range(1, broken), *range(goes_on_from + 1, 6)]
    for step, loss in steps:
        assert loss == pytest.approx(plain[step - 1], rel=1e-5)
    assert [point.step for point in from_events(said).curve] == [1, 2, 3, 4, 5]


def test_a_run_that_nothing_helps_says_so(quiet: RunSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    _runs_out_at(monkeypatch, *range(1, 20))
    said: list[Event] = []
    with pytest.raises(OutOfVram, match="nothing more can be kept off it"):
        run(plan_of(quiet), said.append, Control())
    notches = [one.text for one in said if isinstance(one, Warned)]
    assert "7 of 7 blocks in the computer's memory" in notches[-1] and "computed from" in notches[-1]
    assert not any(isinstance(one, StepDone) for one in said)


def test_previews_that_do_not_fit_become_smaller(quiet: RunSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(previews, "denoise", full)
    seen = {"sampling.validation_disable": False, "sampling.validation_resolution": "256x256"}
    said: list[Event] = []
    run(plan_of(changed(quiet, seen)), said.append, Control())
    first, second = [one.text for one in said if isinstance(one, Warned)]
    assert first.endswith("The next ones are decoded in tiles.")
    assert second.endswith("The next ones are drawn at 128x128.")
    assert isinstance(said[-1], RunFinished)


HALF = {"routes": [{"selection_ratio": 0.5, "start_layer_idx": 1, "end_layer_idx": -1}]}
GLORA = {
    "algo": "glora",
    "linear_dim": 4,
    "linear_alpha": 2.0,
    "apply_preset": {"target_module": ["Attention"]},
}


@pytest.mark.parametrize(
    "change",
    [
        {"adapter.use_dora": True, "memory.base_model_precision": "int8-quanto"},
        {"objective.tread_config": HALF, "memory.gradient_checkpointing_interval": 2},
        {"optimization.use_ema": True, "sampling.validation_disable": False},
        {"lycoris": GLORA, "adapter.lora_type": "lycoris"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_streaming_goes_with(quiet: RunSettings, tmp_path: Path, change: dict[str, Any]) -> None:
    base = changed(quiet, change)
    streamed = _losses(base, tmp_path / "streamed", **{"memory.enable_group_offload": True})
    assert streamed == _losses(base, tmp_path / "plain")


@pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf"
)  # torch's own tracing
def test_a_table_goes_with_compiled_blocks(quiet: RunSettings, tmp_path: Path) -> None:
    torch.compiler.reset()
    compiled = changed(quiet, {"optimization.dynamo_backend": "eager"})
    evicted = _losses(compiled, tmp_path / "evicted", **{"memory.modulation_eviction": "always"})
    assert evicted == pytest.approx(_losses(quiet, tmp_path / "plain"), rel=1e-4)

"""The loss on pictures that are kept apart: measured without a trace, equal for equal weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.conftest import plan_of
from tuner.dataset.batches import batches_of
from tuner.errors import SettingsInvalid
from tuner.events import Evaluated, Event, PhaseSkipped, StepDone
from tuner.flux.objective import predict_velocity
from tuner.settings.checks import problems
from tuner.settings.run import RunSettings
from tuner.training.control import Control
from tuner.training.evaluation import evaluate
from tuner.training.feed import Feed, open_caches
from tuner.training.hardware import find_hardware
from tuner.training.prepare import prepare
from tuner.training.rules import feed_rules, rules
from tuner.training.run import run


@pytest.fixture
def apart(settings: RunSettings, encoded: str) -> RunSettings:
    """The same pictures once more, as a dataset of type eval."""
    (learned,) = settings.datasets
    return replace(
        settings,
        datasets=(learned, replace(learned, id="apart", dataset_type="eval", max_num_samples=3)),
        dataset=replace(settings.dataset, cache_dir=encoded),
        sampling=replace(settings.sampling, validation_disable=True, eval_steps_interval=2, eval_timesteps=4),
    )


def _run(settings: RunSettings, **optimization: object) -> list[Event]:
    said: list[Event] = []
    run(plan_of(settings, **optimization), said.append, Control())
    return said


def _losses(said: list[Event]) -> list[float]:
    return [one.loss for one in said if isinstance(one, StepDone)]


def _without(settings: RunSettings, tmp_path: Path, **sampling: Any) -> RunSettings:
    return replace(
        settings,
        sampling=replace(settings.sampling, **sampling),
        saving=replace(settings.saving, output_dir=str(tmp_path / "other")),
    )


def test_it_is_measured_before_during_and_after_without_a_trace(apart: RunSettings, tmp_path: Path) -> None:
    said = _run(apart, max_train_steps=5)
    found = [one for one in said if isinstance(one, Evaluated)]
    assert [one.step for one in found] == [0, 2, 4, 5]
    assert len({one.loss for one in found}) == 4
    assert _losses(said) == _losses(
        _run(_without(apart, tmp_path, eval_steps_interval=None), max_train_steps=5)
    )


def test_equal_weights_have_equal_losses(apart: RunSettings, tmp_path: Path) -> None:
    """In another run, and after a break."""
    first = {one.step: one.loss for one in _run(apart) if isinstance(one, Evaluated)}
    broken = _without(apart, tmp_path)
    parts = [*_run(broken, max_train_steps=4), *_run(broken)]
    assert {one.step: one.loss for one in parts if isinstance(one, Evaluated)} == first


def test_its_pictures_are_encoded_and_never_learned_from(apart: RunSettings) -> None:
    plan = plan_of(apart)
    assert {one.dataset for one in plan.index.pictures} == {"house"}
    assert {one.dataset for one in plan.index.encoded} == {"house", "apart"}
    assert len(plan.index.encoded) == len(plan.index.pictures) + 3
    assert plan.epoch_ends == plan_of(replace(apart, datasets=apart.datasets[:1])).epoch_ends
    _run(apart, max_train_steps=2)
    assert {one.name for one in _run(apart) if isinstance(one, PhaseSkipped)} == {"text", "latents"}


def test_the_number_is_the_mean_loss_over_even_noise_levels(apart: RunSettings) -> None:
    """Against the same sum written out, picture by picture."""
    _run(apart, max_train_steps=1)
    plain = replace(apart, optimization=replace(apart.optimization, train_batch_size=1))
    plan, hardware = plan_of(plain), find_hardware(plain, print)
    prepared, caches = prepare(plain, hardware), open_caches(plain)
    dice = torch.Generator().manual_seed(99)
    batches = batches_of(plan.index, plain)
    feed = Feed(batches, caches, {}, feed_rules(plain), dice, hardware.device, hardware.dtype)
    found = evaluate(prepared.trainee, feed, plan.index, rules(plain, 6, True, hardware), 4)
    posterior, noise_dice = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    losses: list[float] = []
    prepared.trainee.transformer.eval()
    for picture in plan.index.evaluation[0].pictures:
        torch.rand(1, generator=posterior)  # the feed asks whether the caption is dropped
        entry = caches.latents.get(caches.latent_key(picture))
        clean = (entry["mean"] + entry["std"] * torch.randn(entry["mean"].shape, generator=posterior))[None]
        conditions = caches.conditions([picture.captions[0]], hardware.device, hardware.dtype)
        for sigma in (0.125, 0.375, 0.625, 0.875):
            noise = torch.randn(clean.shape, generator=noise_dice)
            noisy = (1 - sigma) * clean + sigma * noise
            with torch.no_grad():
                velocity = predict_velocity(
                    prepared.trainee.transformer, noisy, torch.tensor([sigma]), conditions, torch.ones(1)
                )
            losses.append((velocity - (noise - clean)).square().mean().item())
    assert found == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_without_such_pictures_it_is_refused(apart: RunSettings) -> None:
    (problem,) = problems(replace(apart, datasets=apart.datasets[:1]))
    assert problem.change == {"sampling.eval_steps_interval": None}
    assert "'dataset_type' eval" in problem.message
    with pytest.raises(SettingsInvalid, match="no folder"):
        plan_of(
            replace(apart, datasets=(apart.datasets[0], replace(apart.datasets[1], instance_data_dir="no")))
        )


def test_pictures_apart_are_not_even_looked_for_where_nothing_is_measured(
    apart: RunSettings, tmp_path: Path
) -> None:
    nowhere = replace(apart.datasets[1], instance_data_dir="not/there")
    quiet = replace(
        _without(apart, tmp_path, eval_steps_interval=None), datasets=(apart.datasets[0], nowhere)
    )
    assert plan_of(quiet).index.evaluation == ()

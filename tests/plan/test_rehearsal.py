"""A rehearsal: the real run in everything that costs, in two steps; and what its events tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuner import presets
from tuner.events import CheckpointSaved, Event, PhaseMeasured, RunFinished, SampleReady, StepDone
from tuner.files import changed, load_all, save_all
from tuner.plan.rehearsal import measured, num_samples, rehearsed

FLUX = presets.settings_of("24gb-int8")


def done(step: int, seconds: float) -> StepDone:
    return StepDone(step=step, loss=0.5, lr=1e-4, grad_norm=1, seconds=seconds, peak_vram_gb=9, time=step)


def sample(time: float) -> SampleReady:
    return SampleReady(step=2, name="a", prompt="a", seed=1, path="a.png", time=time)


EVENTS: list[Event] = [
    PhaseMeasured(name="text", peak_vram_gb=10, peak_ram_gb=2),
    done(1, 30),
    done(2, 3),
    CheckpointSaved(step=2, path="there", time=50),
    sample(53),
    sample(54),
    PhaseMeasured(name="train", peak_vram_gb=17, peak_ram_gb=4),
    RunFinished(step=2, path="file"),
]


@pytest.mark.parametrize("preset", [one.name for one in presets.listed()])
def test_everything_that_costs_is_as_in_the_real_run(preset: str, tmp_path: Path) -> None:
    settings = changed(presets.settings_of(preset), {"adapter.lora_rank": 5})
    short = rehearsed(settings, tmp_path / "there")
    assert (short.model, short.memory, short.adapter) == (settings.model, settings.memory, settings.adapter)
    assert (short.objective, short.datasets, short.library) == (
        settings.objective,
        settings.datasets,
        settings.library,
    )
    assert short.sampling.validation_resolution == settings.sampling.validation_resolution
    assert short.optimization.train_batch_size == settings.optimization.train_batch_size
    assert (short.optimization.max_train_steps, short.saving.checkpoint_step_interval) == (2, 2)
    save_all(short, tmp_path / "there")
    assert load_all(tmp_path / "there").settings == short


def test_what_is_encoded_is_left_for_the_real_run(tmp_path: Path) -> None:
    assert rehearsed(FLUX, tmp_path).dataset.cache_dir == "runs/my-lora/cache"
    own = changed(FLUX, {"dataset.cache_dir": "/there"})
    assert rehearsed(own, tmp_path).dataset.cache_dir == "/there"


def test_a_rehearsal_measures_the_second_step_and_samples_with_all_their_steps() -> None:
    told = measured(EVENTS, FLUX)
    assert told is not None
    assert (told.step_seconds, told.peak_vram_gb, told.peak_ram_gb) == (3, 17, 4)
    assert told.sample_seconds == pytest.approx((54 - 50) / 2 * 20 / 4)


def test_without_samples_nothing_is_said_of_them() -> None:
    told = measured([one for one in EVENTS if not isinstance(one, SampleReady)], FLUX)
    assert told is not None and told.sample_seconds is None


@pytest.mark.parametrize("number", [1, len(EVENTS) - 1])
def test_a_rehearsal_that_did_not_end_tells_nothing(number: int) -> None:
    assert measured(EVENTS[:number], FLUX) is None


@pytest.mark.parametrize(("steps", "times"), [(2000, 9), (2001, 10), (100, 2)])
def test_how_often_samples_are_drawn(steps: int, times: int) -> None:
    assert num_samples(FLUX, steps) == times
    assert num_samples(changed(FLUX, {"sampling.disable_benchmark": True}), steps) == times - 1

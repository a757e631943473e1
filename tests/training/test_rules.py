"""Settings to the loop's numbers: who goes before whom, and what is multiplied with what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from tuner.flux.loss import Loss
from tuner.flux.sigmas import FAST, AutoShift, SigmaSchedule
from tuner.settings.objective import Objective
from tuner.settings.run import RunSettings
from tuner.training.hardware import Hardware
from tuner.training.loop import Rules
from tuner.training.rules import base_rate, extra_noise, feed_rules, rules

CPU = Hardware(torch.device("cpu"), torch.float32)
NOTHING = {"flow_schedule_shift": 0.0}
WEIGHTS = {"flow_cubic_schedule_weights": (0.0, 1.0, 0.5)}
BETA = {"flow_use_beta_schedule": True, "flow_beta_schedule_alpha": 3.0, "flow_beta_schedule_beta": 4.0}


def objective(settings: RunSettings, **values: Any) -> RunSettings:
    return replace(settings, objective=replace(settings.objective, **values))


def optimization(settings: RunSettings, **values: Any) -> RunSettings:
    return replace(settings, optimization=replace(settings.optimization, **values))


def made(settings: RunSettings, guidance_embeds: bool = True) -> Rules:
    return rules(settings, 100, guidance_embeds, CPU)


@pytest.mark.parametrize(
    ("values", "schedule"),
    [
        ({}, SigmaSchedule(shift=3.0)),
        ({**NOTHING, "flow_sigmoid_scale": 1.5}, SigmaSchedule(scale=1.5)),
        ({"flow_use_uniform_schedule": True}, SigmaSchedule("uniform", shift=3.0)),
        ({**BETA, **NOTHING}, SigmaSchedule("beta", alpha=3.0, beta=4.0)),
        ({**WEIGHTS, "flow_schedule_shift": 2.0}, SigmaSchedule("curve", numbers=(0.0, 1.0, 0.5), shift=2.0)),
        ({"flow_cubic_schedule_weights": ()}, SigmaSchedule("curve", shift=3.0)),
        ({"flux_fast_schedule": True}, SigmaSchedule("list", numbers=FAST)),
        ({"flow_custom_timesteps": (500, 250)}, SigmaSchedule("list", numbers=(0.5, 0.25))),
        (
            {"flow_custom_timesteps": (0.5,), "flow_timesteps_mode": "round-robin"},
            SigmaSchedule("round-robin", numbers=(0.5,)),
        ),
    ],
)
def test_each_schedule(settings: RunSettings, values: dict[str, Any], schedule: SigmaSchedule) -> None:
    assert made(objective(settings, **values)).sigmas == schedule


def test_the_first_of_simpletuners_order_goes_before_the_others(settings: RunSettings) -> None:
    ways: list[tuple[str, dict[str, Any]]] = [
        ("list", {"flow_custom_timesteps": (0.5,)}),
        ("curve", WEIGHTS),
        ("uniform", {"flow_use_uniform_schedule": True}),
        ("beta", BETA),
        ("list", {"flux_fast_schedule": True}),
    ]
    for number, (kind, _) in enumerate(ways):
        asked = {key: value for _, values in ways[number:] for key, value in values.items()}
        assert made(objective(settings, **asked)).sigmas.kind == kind


def test_auto_shift_replaces_the_shift_and_reads_the_model(settings: RunSettings) -> None:
    found = made(objective(settings, flow_schedule_auto_shift=True)).sigmas.shift
    assert found == AutoShift(0.5, 1.15, 256, 4096)


def test_guidance(settings: RunSettings) -> None:
    assert made(objective(settings, flux_guidance_value=3.5)).guidance == (3.5, 3.5)
    ranged = {"flux_guidance_mode": "random-range", "flux_guidance_min": 1.0, "flux_guidance_max": 2.0}
    assert made(objective(settings, **ranged)).guidance == (1.0, 2.0)
    assert made(objective(settings, **ranged), guidance_embeds=False).guidance is None


def test_the_loss(settings: RunSettings) -> None:
    values = {"loss_type": "huber", "huber_schedule": "exponential", "huber_c": 0.2}
    assert made(objective(settings, **values)).loss == Loss("huber", "exponential", 0.2)


@pytest.mark.parametrize(
    ("steps", "shares"), [(0, [0.4, 0.4, 0.4, 0.4]), (4, [0.4, 0.3, 0.2, 0.1]), (2, [0.4, 0.2, 0.0, 0.0])]
)
def test_extra_noise_fades_in_a_straight_line(steps: int, shares: list[float]) -> None:
    asked = Objective(input_perturbation=0.4, input_perturbation_steps=steps)
    assert [extra_noise(asked, step) for step in (1, 2, 3, 4)] == pytest.approx(shares)


@pytest.mark.parametrize(
    ("values", "rate"),
    [
        ({}, 1e-4),
        ({"lr_scale": True}, 6e-4),
        ({"lr_scale_sqrt": True}, 6**0.5 * 1e-4),
        ({"lr_scale": True, "lr_scale_sqrt": True}, 6**0.5 * 1e-4),
        ({"optimizer": "prodigy", "lr_scale": True}, 1.0),
    ],
)
def test_the_rate_by_the_pictures_of_a_step(
    settings: RunSettings, values: dict[str, Any], rate: float
) -> None:
    batch = {"train_batch_size": 3, "gradient_accumulation_steps": 2, "learning_rate": 1e-4}
    asked = optimization(settings, **batch, **values)
    assert base_rate(asked) == pytest.approx(rate)
    assert made(asked).lr_at(50) == pytest.approx(rate)


def test_some_optimizers_are_never_clipped(settings: RunSettings) -> None:
    assert made(settings).max_grad_norm == 1.0
    for name in ("prodigy", "optimi-stableadamw"):
        assert made(optimization(settings, optimizer=name)).max_grad_norm == 0.0


def test_what_the_feed_is_told(settings: RunSettings) -> None:
    asked = objective(settings, flux_attention_masked_training=True, masked_loss_probability=0.4)
    combined = replace(asked.dataset, conditioning_multidataset_sampling="combined")
    told = feed_rules(replace(asked, dataset=combined))
    assert (told.caption_dropout, told.mask_probability) == (0.3, 0.4)
    assert told.hide_padding and told.all_references

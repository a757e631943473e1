"""Every noise schedule, loss, guidance and caption treatment, from pictures to export."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rows.trial import check, train
from tuner.settings.run import RunSettings

ROUTES = {"routes": [{"selection_ratio": 0.5, "start_layer_idx": 1, "end_layer_idx": -1}]}
ROWS: list[dict[str, Any]] = [
    {"flow_schedule_shift": 0},
    {"flow_schedule_shift": 1.5},
    {"flow_schedule_auto_shift": True},
    {"flow_sigmoid_scale": 2.0},
    {"flow_use_uniform_schedule": True},
    {"flow_use_beta_schedule": True, "flow_beta_schedule_alpha": 0.5},
    {"flow_custom_timesteps": "0.2,0.5,0.9"},
    {"flow_custom_timesteps": "200,900", "flow_timesteps_mode": "round-robin"},
    {"flow_cubic_schedule_weights": [0.1, 1.0, 0.4]},
    {"flux_fast_schedule": True},
    {"flux_guidance_mode": "random-range", "flux_guidance_min": 1.0},
    {"flux_guidance_value": 3.5},
    *({"loss_type": kind, "huber_schedule": "constant"} for kind in ("huber", "smooth_l1")),
    *({"loss_type": "huber", "huber_schedule": kind} for kind in ("snr", "exponential")),
    {"flux_attention_masked_training": True},
    {"t5_padding": "zero"},
    {"caption_dropout_probability": 1.0},
    {"input_perturbation": 0.1},
    {"input_perturbation": 0.1, "input_perturbation_steps": 2},
    {"tread_config": ROUTES},
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(f"{key}={row[key]}" for key in row)[:60])
def test_an_objective(row: dict[str, Any], settings: RunSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    check(train(settings, {f"objective.{key}": value for key, value in row.items()}, monkeypatch))

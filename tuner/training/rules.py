"""The numbers of the loop, out of the settings."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tuner.flux.objective import SigmaSchedule
from tuner.optimizers import catalog as optimizers
from tuner.optimizers.schedules import Schedule, lr_at
from tuner.settings.run import RunSettings
from tuner.training.hardware import Hardware
from tuner.training.loop import Rules


def rules(settings: RunSettings, num_steps: int, guidance_embeds: bool, hardware: Hardware) -> Rules:
    """The loop's numbers out of the settings; the adapter is float32, so bf16 weights need autocast."""
    optimization, objective = settings.optimization, settings.objective
    return Rules(
        num_steps=num_steps,
        accumulation=optimization.gradient_accumulation_steps,
        lr_at=_learning_rates(settings, num_steps),
        max_grad_norm=0.0
        if optimizers.row(optimization.optimizer).clips_itself
        else optimization.max_grad_norm,
        clip_by_norm=optimization.grad_clip_method == "norm",
        sigmas=_sigma_schedule(settings),
        guidance=objective.flux_guidance_value if guidance_embeds else None,
        autocast=torch.bfloat16 if hardware.dtype == torch.bfloat16 else None,
    )


def _learning_rates(settings: RunSettings, num_steps: int) -> Callable[[int], float]:
    choice = settings.optimization
    schedule = Schedule(
        name=choice.lr_scheduler,
        base=choice.learning_rate,
        end=choice.lr_end,
        warmup=choice.lr_warmup_steps,
        total=num_steps,
        power=choice.lr_power,
        cycles=choice.lr_num_cycles,
    )
    return lambda step: lr_at(schedule, step)


def _sigma_schedule(settings: RunSettings) -> SigmaSchedule:
    objective = settings.objective
    kind = (
        "uniform"
        if objective.flow_use_uniform_schedule
        else "beta"
        if objective.flow_use_beta_schedule
        else "sigmoid"
    )
    return SigmaSchedule(
        kind=kind,
        scale=objective.flow_sigmoid_scale,
        shift=objective.flow_schedule_shift,
        auto_shift=objective.flow_schedule_auto_shift,
        alpha=objective.flow_beta_schedule_alpha,
        beta=objective.flow_beta_schedule_beta,
    )

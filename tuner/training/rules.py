"""The numbers of the loop and of its feed, out of the settings."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tuner.flux import loading
from tuner.flux.loss import Loss
from tuner.flux.sigmas import FAST, AutoShift, SigmaSchedule, sigmas_of
from tuner.optimizers import catalog as optimizers
from tuner.optimizers.schedules import Schedule, lr_at
from tuner.plan import sources
from tuner.settings.objective import Objective
from tuner.settings.run import RunSettings
from tuner.training.feed import FeedRules
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
        loss=Loss(objective.loss_type, objective.huber_schedule, objective.huber_c),
        guidance=_guidance(objective) if guidance_embeds else None,
        extra_noise_at=lambda step: extra_noise(objective, step),
        autocast=torch.bfloat16 if hardware.dtype == torch.bfloat16 else None,
    )


def feed_rules(settings: RunSettings) -> FeedRules:
    """What the feed draws and hides."""
    objective = settings.objective
    return FeedRules(
        caption_dropout=objective.caption_dropout_probability,
        mask_probability=objective.masked_loss_probability,
        hide_padding=objective.flux_attention_masked_training,
        all_references=settings.dataset.conditioning_multidataset_sampling == "combined",
    )


def base_rate(settings: RunSettings) -> float:
    """The highest learning rate of the run: `learning_rate`, scaled by the batch where that is asked for."""
    choice = settings.optimization
    row = optimizers.row(choice.optimizer)
    if row.fixed_lr is not None:
        return row.fixed_lr
    batch = choice.train_batch_size * choice.gradient_accumulation_steps * choice.num_processes
    if choice.lr_scale_sqrt:
        return choice.learning_rate * float(batch**0.5)
    return choice.learning_rate * batch if choice.lr_scale else choice.learning_rate


def extra_noise(objective: Objective, step: int) -> float:
    """The share of `input_perturbation` at a step (1-based): full at the first, fading to 0 in a straight
    line over `input_perturbation_steps`, constant where those are 0.
    """
    fading = objective.input_perturbation_steps
    return objective.input_perturbation * (max(0.0, 1 - (step - 1) / fading) if fading else 1.0)


def _learning_rates(settings: RunSettings, num_steps: int) -> Callable[[int], float]:
    choice = settings.optimization
    schedule = Schedule(
        name=choice.lr_scheduler,
        base=base_rate(settings),
        end=choice.lr_end,
        warmup=choice.lr_warmup_steps,
        total=num_steps,
        power=choice.lr_power,
        cycles=choice.lr_num_cycles,
    )
    return lambda step: lr_at(schedule, step)


def _guidance(objective: Objective) -> tuple[float, float]:
    if objective.flux_guidance_mode == "random-range":
        return objective.flux_guidance_min, objective.flux_guidance_max
    return objective.flux_guidance_value, objective.flux_guidance_value


def _sigma_schedule(settings: RunSettings) -> SigmaSchedule:
    """The first that is asked for, in SimpleTuner's order. A list of levels is taken as it is, unshifted."""
    asked = settings.objective
    if asked.flow_custom_timesteps:
        kind = "round-robin" if asked.flow_timesteps_mode == "round-robin" else "list"
        return SigmaSchedule(kind, numbers=sigmas_of(asked.flow_custom_timesteps))
    if asked.flow_cubic_schedule_weights is not None:
        weights = asked.flow_cubic_schedule_weights
        return SigmaSchedule("curve", numbers=weights, shift=_shift(settings))
    if asked.flow_use_uniform_schedule:
        return SigmaSchedule("uniform", shift=_shift(settings))
    if asked.flow_use_beta_schedule:
        alpha, beta = asked.flow_beta_schedule_alpha, asked.flow_beta_schedule_beta
        return SigmaSchedule("beta", alpha=alpha, beta=beta, shift=_shift(settings))
    if asked.flux_fast_schedule:
        return SigmaSchedule("list", numbers=FAST)
    return SigmaSchedule(scale=asked.flow_sigmoid_scale, shift=_shift(settings))


def _shift(settings: RunSettings) -> float | AutoShift:
    if not settings.objective.flow_schedule_auto_shift:
        return settings.objective.flow_schedule_shift
    model = sources.model_place(settings)
    return AutoShift.of(loading.scheduler_config(model, settings.model.revision))

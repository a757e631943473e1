"""When a preview or a checkpoint is due: arithmetic on step numbers."""

from __future__ import annotations

from bisect import bisect_right

from tuner.plan.phases import Plan


def checkpoint_due(plan: Plan, step: int) -> bool:
    """After this step a checkpoint is saved to be kept; the last one always is."""
    saving = plan.settings.saving
    return (
        _every(saving.checkpoint_step_interval, step)
        or _every_epochs(saving.checkpoint_epoch_interval, plan, step)
        or step == plan.num_steps
    )


def rolling_due(plan: Plan, step: int) -> bool:
    """After this step a checkpoint of the rolling row is saved, unless one to be kept is."""
    return _every(plan.settings.saving.checkpointing_rolling_steps, step)


def preview_due(plan: Plan, step: int) -> bool:
    """After this step previews are made; after the last one always, so that the result is seen."""
    sampling = plan.settings.sampling
    waited = step >= (sampling.validate_after_step or 0)
    epochs = _num_epochs(plan, step) >= (sampling.validate_after_epoch or 0)
    return step == plan.num_steps or (
        waited
        and epochs
        and (
            _every(sampling.validation_step_interval, step)
            or _every_epochs(sampling.validation_epoch_interval, plan, step)
        )
    )


def evaluation_due(plan: Plan, step: int) -> bool:
    """At this step the loss on pictures that are kept apart is measured: before the first, too."""
    interval = plan.settings.sampling.eval_steps_interval
    return bool(interval) and (_every(interval, step) or step == plan.num_steps)


def preview_due_at_start(plan: Plan) -> bool:
    """Before the first step: the baseline of a new run, or what `validation_on_startup` asks for."""
    sampling = plan.settings.sampling
    baseline = plan.first_step == 0 and not sampling.disable_benchmark
    return baseline or sampling.validation_on_startup


def _every(interval: int | None, number: int) -> bool:
    return bool(interval) and number % (interval or 1) == 0


def _every_epochs(interval: int | None, plan: Plan, step: int) -> bool:
    over = _num_epochs(plan, step)
    return over > _num_epochs(plan, step - 1) and _every(interval, over)


def _num_epochs(plan: Plan, step: int) -> int:
    """The epochs that are over after `step`."""
    return bisect_right(plan.epoch_ends, step)

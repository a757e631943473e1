"""What does not go together in steps, rates and the optimizer."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.errors import Problem
from tuner.optimizers import catalog, options, schedules
from tuner.settings.rules import Rule, problem
from tuner.settings.run import RunSettings


def _duration(settings: RunSettings) -> Iterator[Problem]:
    asked = settings.optimization
    steps, epochs = asked.max_train_steps, asked.num_train_epochs
    if steps and epochs:
        yield problem(
            "optimization.num_train_epochs",
            epochs,
            f"'max_train_steps' is {steps} and 'num_train_epochs' is {epochs}; only one may be above 0.",
            {"optimization.num_train_epochs": 0},
        )
    if not steps and epochs == 0:
        yield problem(
            "optimization.max_train_steps",
            steps,
            "'max_train_steps' and 'num_train_epochs' are both 0; give the number of steps.",
            {"optimization.max_train_steps": 1000},
        )


def _betas(settings: RunSettings) -> Iterator[Problem]:
    asked = settings.optimization
    given = {"optimizer_beta1": asked.optimizer_beta1, "optimizer_beta2": asked.optimizer_beta2}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == 1:
        other = next(name for name in given if name not in missing)
        yield problem(
            f"optimization.{missing[0]}",
            None,
            f"'{other}' is given and '{missing[0]}' is not; give both or neither.",
            {f"optimization.{other}": None},
        )


def _optimizer_options(settings: RunSettings) -> Iterator[Problem]:
    asked = settings.optimization
    if asked.optimizer not in catalog.names():
        return
    try:
        sentences = catalog.option_problems(asked.optimizer, options.parse(asked.optimizer_config))
    except ValueError as error:
        sentences = (str(error),)
    for sentence in sentences:
        yield problem(
            "optimization.optimizer_config",
            asked.optimizer_config,
            sentence,
            {"optimization.optimizer_config": None},
        )


def _last_rate(settings: RunSettings) -> Iterator[Problem]:
    """A schedule that is to fall does not rise."""
    asked = settings.optimization
    if asked.optimizer not in catalog.names() or asked.lr_scheduler not in schedules.names():
        return
    first = catalog.row(asked.optimizer).fixed_lr or asked.learning_rate
    if schedules.row(asked.lr_scheduler).falls and asked.lr_end > first:
        yield problem(
            "optimization.lr_end",
            asked.lr_end,
            f"'lr_end' is {asked.lr_end:g}, but '{asked.lr_scheduler}' falls to it, from {first:g}.",
            {"optimization.lr_end": 0.0},
        )


def _compiled_blocks(settings: RunSettings) -> Iterator[Problem]:
    """Their weights are part of what was compiled."""
    memory = settings.memory
    if settings.optimization.dynamo_backend == "no":
        return
    if memory.musubi_blocks_to_swap or memory.enable_group_offload:
        key = "musubi_blocks_to_swap" if memory.musubi_blocks_to_swap else "enable_group_offload"
        yield problem(
            f"memory.{key}",
            getattr(memory, key),
            f"'{key}' moves blocks between card and memory, and compiled blocks ('dynamo_backend') stay "
            "where they are; do without one of the two.",
            {"optimization.dynamo_backend": "no"},
        )


RULES: tuple[Rule, ...] = (_compiled_blocks, _duration, _betas, _optimizer_options, _last_rate)

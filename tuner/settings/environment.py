"""config.env: which of its variables say what a key of config.json says too, and which are the system's."""

from __future__ import annotations

from collections.abc import Mapping

from tuner.settings import useless

TWINS = {
    "MIXED_PRECISION": "mixed_precision",
    "TRAINING_NUM_PROCESSES": "num_processes",
    "TRAINING_NUM_MACHINES": "num_machines",
    "TRAINING_DYNAMO_BACKEND": "dynamo_backend",
}
"""Variable to key; config.json counts where both speak."""


def of_the_system(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that are for other programs and libraries: they are set while a run goes on."""
    own = {*TWINS, *useless.ENVIRONMENT}
    return {name: value for name, value in environment.items() if name not in own}

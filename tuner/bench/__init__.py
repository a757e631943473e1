"""Benchmarks, one row each: `python -m tuner bench NAME`. None of them imports torch here: what is measured
runs in processes of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tuner import machine
from tuner.bench import cache, load, page, whole
from tuner.bench.shared import Asked
from tuner.errors import Advice, TunerError

BENCHMARKS: dict[str, Callable[[Asked], dict[str, Any]]] = {
    "step": whole.step,
    "page": page.page,
    "load": load.load,
    "cache": cache.cache,
    "memory": whole.memory,
}


def measure(name: str, asked: Asked) -> dict[str, Any]:
    """The record of a benchmark; raises TunerError where what is asked for needs a card that is not there."""
    has_card = machine.read().gpu_name is not None
    if asked.card is not None and not has_card:
        raise TunerError("There is no NVIDIA card here to act a smaller one.", Advice("Leave --card out."))
    if asked.random_weights and not asked.toy and not has_card:
        raise TunerError(
            "A step of FLUX.1 in full size takes hours on a processor.", Advice("Add --toy, or use a card.")
        )
    return BENCHMARKS[name](asked)

"""Benchmarks, one row each: `python -m tuner bench NAME`. None of them imports torch here: what is measured
runs in processes of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tuner import machine
from tuner.bench import cache, guide, load, page, streaming, tabs, text, whole
from tuner.bench.shared import Asked
from tuner.errors import Advice, TunerError

BENCHMARKS: dict[str, Callable[[Asked], dict[str, Any]]] = {
    "step": whole.step,
    "page": page.page,
    "tabs": tabs.tabs,
    "load": load.load,
    "cache": cache.cache,
    "memory": whole.memory,
    "text": text.text,
    "guide": guide.guide,
    "streaming": streaming.streaming,
}


def measure(name: str, asked: Asked) -> dict[str, Any]:
    """The record of a benchmark; raises TunerError where what is asked for needs a card that is not there."""
    if asked.card is not None and not asked.toy and machine.read().gpu_name is None:
        raise TunerError("There is no NVIDIA card here to act a smaller one.", Advice("Leave --card out."))
    return BENCHMARKS[name](asked)

"""What it costs in time that part of the model waits in the computer's memory."""

from __future__ import annotations

import statistics
from typing import Any

from tuner import presets
from tuner.bench.shared import Asked, about
from tuner.bench.whole import measured_run, settings_of
from tuner.plan.sizes import shape

SHARE = 0.4
"""Of all blocks."""


def streaming(asked: Asked) -> dict[str, Any]:
    """`step_ratio` is the median of paired ratios: seconds a step with 40 % of the blocks streamed by those
    with every block on the card, all else alike.
    """
    settings = settings_of(asked)
    num_blocks = round(SHARE * shape(presets.settings_of(settings["preset"])).num_blocks)
    resident = {"memory.checkpointing_fill": "never", "memory.modulation_eviction": "always"}
    streamed = {**resident, "memory.musubi_blocks_to_swap": num_blocks}
    pairs = [
        tuple(measured_run(asked, change)["step_seconds"] for change in (resident, streamed))
        for _ in range(asked.rounds)
    ]
    ratios = [round(theirs / ours, 4) for ours, theirs in pairs]
    return {
        **about("streaming", {**settings, "num_blocks_streamed": num_blocks, "num_rounds": asked.rounds}),
        "resident_step_seconds": statistics.median(ours for ours, _ in pairs),
        "streamed_step_seconds": statistics.median(theirs for _, theirs in pairs),
        "step_ratios": ratios,
        "step_ratio": statistics.median(ratios),
    }

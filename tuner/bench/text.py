"""What reading T5-XXL layer by layer takes of the computer's memory, however many captions there are."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from tuner.bench.shared import Asked, about, figures

CAPTIONS = (4, 32)
"""Two numbers of captions, between which the need of memory must not grow."""


def text(asked: Asked) -> dict[str, Any]:
    """`extra_host_gb` is the peak above what the process had before, at T5-XXL's own width."""
    settings = {"t5_layers": 2 if asked.toy else 3, "num_captions": CAPTIONS, "num_text_tokens": 64}
    with tempfile.TemporaryDirectory() as scratch:
        spec = {"folder": f"{scratch}/model", "t5_layers": 3, "clip_layers": 2, "toy": asked.toy}
        figures("tuner.bench.synthetic", spec)
        extra = {
            f"{number}_captions_extra_host_gb": figures(
                "tuner.bench.text_once",
                {"model": str(Path(scratch) / "model"), "num_captions": number, "num_text_tokens": 64},
            )
            for number in CAPTIONS
        }
    return {**about("text", {**settings, "toy": asked.toy}), **extra}

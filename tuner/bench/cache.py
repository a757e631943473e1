"""How near the phases that fill the caches come to the models alone: pictures to the VAE, captions to both
text encoders, by turns in one process.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from tuner.bench.shared import Asked, about, figures

PICTURE_PX = (2000, 1500)


def cache(asked: Asked) -> dict[str, Any]:
    """`pictures_ratio` and `captions_ratio` are medians of paired rates: ours by the model's own on the same
    batches, the load of the model on both sides. T5 has one of its 24 layers, so that what comes on top
    counts more than in earnest.
    """
    num_pictures = 12 if asked.toy else 16
    settings = {
        "num_rounds": asked.rounds,
        "num_pictures": num_pictures,
        "picture_px": PICTURE_PX,
        "resolution_px": 64 if asked.toy else 256,
        "batch_size": 4,
        "num_text_tokens": 24 if asked.toy else 256,
        "t5_layers": 1,
        "toy": asked.toy,
    }
    with tempfile.TemporaryDirectory() as scratch:
        model, pictures = Path(scratch) / "model", Path(scratch) / "pictures"
        spec = {"folder": str(model), "t5_layers": 1, "clip_layers": 2, "toy": asked.toy}
        figures("tuner.bench.synthetic", spec)
        draw(pictures, num_pictures, PICTURE_PX)
        places = {"model": str(model), "pictures": str(pictures), "scratch": scratch}
        measured = figures("tuner.bench.cache_once", settings | places)
    return {**about("cache", settings), **measured}


def draw(folder: Path, number: int, size: tuple[int, int]) -> None:
    """Pictures as a camera makes them: JPEG, soft, no two alike; each with a caption of forty words."""
    folder.mkdir(parents=True)
    dice = Random(0)
    for count in range(number):
        small = Image.frombytes("RGB", (64, 48), dice.randbytes(64 * 48 * 3))
        small.resize(size, Image.Resampling.BICUBIC).save(folder / f"{count:05}.jpg", quality=92)
        words = " ".join(f"word{dice.randrange(1000)}" for _ in range(40))
        (folder / f"{count:05}.txt").write_text(words, encoding="utf-8")

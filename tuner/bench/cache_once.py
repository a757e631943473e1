"""The rounds of `bench cache`, in a process of their own: `python -m tuner.bench.cache_once SPEC`."""

from __future__ import annotations

import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch

from tuner.dataset import scan
from tuner.dataset.decoding import open_picture
from tuner.dataset.geometry import settle
from tuner.flux import text
from tuner.plan import sources
from tuner.settings.dataset import ImageDataset
from tuner.settings.dataset_defaults import Dataset
from tuner.settings.model import Model
from tuner.settings.run import RunSettings
from tuner.training import encode
from tuner.training.feed import Caches, open_caches
from tuner.training.hardware import Hardware, find_hardware
from tuner.training.models import load_text_encoders


def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """Rates of both sides, and the medians of their ratios."""
    settings = _settings(spec)
    hardware = find_hardware(settings, lambda event: None)
    pictures = settle(scan.scan(settings), 0).pictures
    texts = list(sources.texts(settings, settle(scan.scan(settings), 0)))
    pixels = [encode.pixels(open_picture(one)) for one in pictures]
    size = spec["batch_size"]
    batches = [torch.stack(pixels[start : start + size]) for start in range(0, len(pixels), size)]

    def empty_caches() -> Caches:
        return open_caches(_settings(spec, tempfile.mkdtemp(dir=spec["scratch"])))

    sides: dict[str, tuple[int, Callable[[], Any], Callable[[], Any]]] = {
        "pictures": (
            len(pictures),
            lambda: list(encode.encode_pictures(settings, pictures, empty_caches(), hardware)),
            lambda: _vae_alone(settings, hardware, batches),
        ),
        "captions": (
            len(texts),
            lambda: list(encode.encode_texts(settings, texts, empty_caches(), hardware)),
            lambda: _encoders_alone(settings, hardware, texts, size),
        ),
    }
    record: dict[str, Any] = {}
    for what, (number, ours, alone) in sides.items():
        alone()  # what is loaded and chosen once is no part of it
        pairs = [(_seconds(ours), _seconds(alone)) for _ in range(spec["num_rounds"])]
        ratios = [round(model / whole, 4) for whole, model in pairs]
        record |= {
            f"{what}_per_second": round(number / statistics.median(whole for whole, _ in pairs), 3),
            f"{what}_of_the_model_alone_per_second": round(
                number / statistics.median(model for _, model in pairs), 3
            ),
            f"{what}_ratios": ratios,
            f"{what}_ratio": statistics.median(ratios),
        }
    return record


def _settings(spec: dict[str, Any], cache_dir: str | None = None) -> RunSettings:
    return RunSettings(
        model=Model(
            model_flavour="dev",
            pretrained_model_name_or_path=spec["model"],
            tokenizer_max_length=spec["num_text_tokens"],
            vae_dtype="fp32",
            mixed_precision="bf16" if torch.cuda.is_available() else "no",
        ),
        dataset=Dataset(
            cache_dir=cache_dir or spec["scratch"],
            vae_batch_size=spec["batch_size"],
            text_encoder_batch_size=spec["batch_size"],
        ),
        datasets=(
            ImageDataset(
                id="made",
                instance_data_dir=spec["pictures"],
                resolution=spec["resolution_px"],
                resolution_type="pixel_area",
                caption_strategy="textfile",
            ),
        ),
    )


@torch.no_grad()
def _vae_alone(settings: RunSettings, hardware: Hardware, batches: list[torch.Tensor]) -> None:
    vae: Any = encode.load_vae(settings, hardware)
    for one in batches:
        latents = vae.encode(one.to(vae.device, vae.dtype)).latent_dist.mean
    latents.cpu()


def _encoders_alone(settings: RunSettings, hardware: Hardware, texts: list[str], size: int) -> None:
    encoders = load_text_encoders(settings, hardware)
    for start in range(0, len(texts), size):
        made = text.encode(texts[start : start + size], encoders)
    made.embeddings.cpu()


def _seconds(work: Callable[[], Any]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


if __name__ == "__main__":
    logging.disable()
    sys.stdout.write(json.dumps(measure(json.loads(sys.argv[1]))) + "\n")

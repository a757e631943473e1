"""T5 layer by layer, for `bench memory`: `python -m tuner.bench.text_once SPEC`."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from typing import Any

import torch

from tuner.settings.dataset_defaults import Dataset
from tuner.settings.model import Model
from tuner.settings.run import RunSettings
from tuner.training.encode import encode_texts
from tuner.training.feed import open_caches
from tuner.training.hardware import Hardware
from tuner.training.host import peak, reset_peak


def measure(spec: dict[str, Any]) -> float:
    """GB of memory that encoding so many captions takes at its peak, above what the process has before."""
    torch.zeros(8, 8) @ torch.zeros(8, 8)
    with tempfile.TemporaryDirectory() as folder:
        settings = RunSettings(
            model=Model(
                pretrained_model_name_or_path=spec["model"],
                model_flavour="dev",
                tokenizer_max_length=spec["num_text_tokens"],
            ),
            dataset=Dataset(cache_dir=folder, text_encoder_batch_size=4),
        )
        texts = [f"a caption of number {number}" for number in range(spec["num_captions"])]
        hardware = Hardware(torch.device("cpu"), torch.bfloat16)
        before = reset_peak()
        for _ in encode_texts(settings, texts, open_caches(settings), hardware, by_layer=True):
            pass
        return round((peak() - before) / 1e9, 3)


if __name__ == "__main__":
    logging.disable()
    sys.stdout.write(json.dumps(measure(json.loads(sys.argv[1]))) + "\n")

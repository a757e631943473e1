"""The program makes a whole pipeline from nothing; here with a few steps, elsewhere with hours."""

from pathlib import Path

import torch
from diffusers import FluxPipeline

from tuner.practice.train import Amounts, build

FEW = Amounts(
    pictures=24, vae_steps=2, vae_batch=2, transformer_steps=3, transformer_batch=4, guidance_steps=2,
    guidance_batch=2, decoder_steps=2,
)  # fmt: skip


def test_a_pipeline_from_nothing_and_an_interrupted_build_that_goes_on(tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "model"
    build(work, out, FEW)
    pipe = FluxPipeline.from_pretrained(out, dtype=torch.float32)
    picture = pipe(
        "a red star", height=64, width=64, num_inference_steps=2, max_sequence_length=24, output_type="pt",
        generator=torch.Generator().manual_seed(0),
    ).images  # fmt: skip
    assert picture.shape == (1, 3, 64, 64) and picture.isfinite().all()
    assert pipe.vae.config.scaling_factor != 1.0
    kept = (work / "model.safetensors").stat().st_mtime_ns
    (work / "decoder.safetensors").unlink()
    build(work, out, FEW)
    assert (work / "model.safetensors").stat().st_mtime_ns == kept

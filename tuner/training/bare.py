"""The yardstick of `bench step`: the loop that one would write by hand with diffusers, PEFT and torch, and
nothing else.

It shares no code with the trainer, does the same work (encode, load, attach a LoRA, optimizer updates on
cached latents), and prints its CPU seconds. Run as `python -m tuner.training.bare SPEC`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import FluxPipeline
from PIL import Image

WARM_STEPS = 5
"""Steps that neither side counts: memory pools fill, kernels are chosen."""


def main(spec: dict[str, Any]) -> dict[str, float]:
    """CPU seconds of this process up to the end of the first step, and of one step after the warm ones."""
    from peft import LoraConfig

    generator = torch.Generator().manual_seed(0)
    pipe = FluxPipeline.from_pretrained(spec["model"], dtype=torch.float32)
    latents, pooled, embeddings = _encoded(pipe, spec)
    transformer = pipe.transformer.requires_grad_(False)
    rank, names = spec["rank"], spec["targets"]
    transformer.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=names))
    parameters = [p for p in transformer.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=spec["lr"], foreach=True)
    text_ids = torch.zeros(embeddings.shape[1], 3)
    edge = int(latents.shape[1] ** 0.5)
    image_ids = pipe._prepare_latent_image_ids(1, edge, edge, "cpu", torch.float32)
    transformer.train()
    start = counted_from = 0.0
    for step in range(1, spec["steps"] + 1):
        rows = torch.randint(len(latents), (spec["batch"],), generator=generator)
        clean = latents[rows]
        noise = torch.randn(clean.shape, generator=generator)
        sigmas = torch.sigmoid(torch.randn(len(rows), generator=generator))
        mix = sigmas[:, None, None]
        made = transformer(
            hidden_states=(1 - mix) * clean + mix * noise,
            timestep=sigmas,
            guidance=torch.ones(len(rows)),
            pooled_projections=pooled[rows],
            encoder_hidden_states=embeddings[rows],
            txt_ids=text_ids,
            img_ids=image_ids,
            return_dict=False,
        )[0]
        loss = torch.nn.functional.mse_loss(made, noise - clean)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        if step == 1:
            start = time.process_time()
        if step == WARM_STEPS:
            counted_from = time.process_time()
    spent = time.process_time() - counted_from
    return {"start_cpu_seconds": start, "step_cpu_seconds": spent / max(1, spec["steps"] - WARM_STEPS)}


@torch.no_grad()
def _encoded(pipe: FluxPipeline, spec: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Packed latents, pooled and prompt embeddings of every picture."""
    latents, pooled, embeddings = [], [], []
    for path in map(Path, spec["pictures"]):
        pixels = torch.from_numpy(np.asarray(Image.open(path).convert("RGB"), np.float32) / 127.5 - 1)
        sample = pipe.vae.encode(pixels.permute(2, 0, 1)[None]).latent_dist.sample()
        sample = (sample - pipe.vae.config.shift_factor) * pipe.vae.config.scaling_factor
        latents.append(pipe._pack_latents(sample, 1, sample.shape[1], *sample.shape[2:]))
        words = path.with_suffix(".txt").read_text(encoding="utf-8").strip()
        rows, vector, _ = pipe.encode_prompt(words, words, max_sequence_length=spec["num_text_tokens"])
        pooled.append(vector)
        embeddings.append(rows)
    return torch.cat(latents), torch.cat(pooled), torch.cat(embeddings)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))) + "\n")

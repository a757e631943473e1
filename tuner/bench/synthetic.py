"""Models of FLUX.1's own widths with numbers that mean nothing, written as the real ones lie on a disk.

Run as `python -m tuner.bench.synthetic '{"folder": ..., ...}'`: a process of its own, with little memory.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

from tuner.practice import parts
from tuner.practice.words import clip_tokenizer, t5_tokenizer

SHARD_BYTES = 10**9
_BLOCK = 2**22
"""So many random numbers are drawn, and written again and again."""


def write(spec: dict[str, Any]) -> int:
    """The parts that `spec` names, into `spec["folder"]`; -> the number of parameters of its transformer.

    `blocks`: [double, single] of the transformer; `t5_layers`, `clip_layers`: those of the text encoders,
    with which the VAE and the scheduler come. `holes`: all weights are zero and take no room on the disk.
    `toy`: the practice model's architecture instead.
    """
    folder = Path(spec["folder"])
    torch.manual_seed(0)
    if spec.get("toy"):
        transformer = parts.transformer()
        parts.save_pipeline(folder, parts.vae(), transformer, parts.text_encoders())
        return sum(one.numel() for one in transformer.parameters())
    with torch.device("meta"):
        made = dict(_parts(spec))
    for name, model in made.items():
        stem = "model" if name.startswith("text") else "diffusion_pytorch_model"
        _write_part(folder / name, model, stem, spec.get("holes", False))
    if "t5_layers" in spec:
        clip_tokenizer().save_pretrained(folder / "tokenizer")
        t5_tokenizer().save_pretrained(folder / "tokenizer_2")
        FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True).save_pretrained(
            folder / "scheduler"
        )
    if "transformer" not in made:
        return 0
    return sum(one.numel() for one in made["transformer"].parameters())


def _parts(spec: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    if "blocks" in spec:
        double, single = spec["blocks"]
        yield (
            "transformer",
            FluxTransformer2DModel(num_layers=double, num_single_layers=single, guidance_embeds=True),
        )
    if "t5_layers" in spec:
        words = clip_tokenizer()
        clip = CLIPTextConfig(
            hidden_size=768,
            intermediate_size=3072,
            num_hidden_layers=spec.get("clip_layers", 12),
            num_attention_heads=12,
            projection_dim=768,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
        t5 = T5Config(
            d_model=4096,
            d_kv=64,
            d_ff=10240,
            num_layers=spec["t5_layers"],
            num_heads=64,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
        )
        yield "text_encoder", CLIPTextModel(clip)
        yield "text_encoder_2", T5EncoderModel(t5)
        yield "vae", _vae()


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        latent_channels=16,
        sample_size=1024,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def _write_part(folder: Path, model: Any, stem: str, holes: bool) -> None:
    """Its config and its weights in bf16, in shards where they are large."""
    folder.mkdir(parents=True)
    if hasattr(model, "save_config"):
        model.save_config(folder)
    else:
        model.config.save_pretrained(folder)
    shards = _shards(dict(model.named_parameters()))
    names = [f"{stem}-{n + 1:05}-of-{len(shards):05}.safetensors" for n in range(len(shards))]
    if len(shards) == 1:
        names = [f"{stem}.safetensors"]
    else:
        where = {tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
        index = {"metadata": {}, "weight_map": where}
        (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    for name, shard in zip(names, shards, strict=True):
        _write_shard(folder / name, shard, holes)


def _shards(tensors: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if size + 2 * tensor.numel() > SHARD_BYTES and shards[-1]:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += 2 * tensor.numel()
    return shards


def _write_shard(path: Path, tensors: dict[str, Tensor], holes: bool) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + 2 * tensor.numel()
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        if holes:
            file.truncate(8 + len(text) + end)
            return
        block = memoryview((torch.randn(_BLOCK) * 0.02).bfloat16().view(torch.uint8).numpy())
        while end > 0:
            end -= file.write(block[:end])


if __name__ == "__main__":
    sys.stdout.write(json.dumps(write(json.loads(sys.argv[1]))) + "\n")

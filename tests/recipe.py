"""The files of a small run on disk: captioned pictures, the config files, and a model in name only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

TRANSFORMER = {
    "num_layers": 2,
    "num_single_layers": 5,
    "num_attention_heads": 6,
    "attention_head_dim": 32,
    "in_channels": 64,
    "joint_attention_dim": 128,
    "pooled_projection_dim": 128,
    "guidance_embeds": True,
}


def write_recipe(
    root: Path, num_pictures: int = 4, dataset: dict[str, Any] | None = None, **config: Any
) -> Path:
    """`root`/run/config of the run folder `root`/run; keywords change config.json, None takes a key out."""
    pictures, model, folder = root / "pictures", root / "model", root / "run" / "config"
    for place in (pictures, model / "transformer", folder):
        place.mkdir(parents=True, exist_ok=True)
    for number in range(num_pictures):
        Image.new("RGB", (64, 64), (40 * number, 90, 120)).save(pictures / f"{number}.png")
        (pictures / f"{number}.txt").write_text(f"sks number {number}", encoding="utf-8")
    (model / "transformer" / "config.json").write_text(json.dumps(TRANSFORMER), encoding="utf-8")
    values = {
        "model_type": "lora",
        "model_family": "flux",
        "model_flavour": "dev",
        "pretrained_model_name_or_path": str(model),
        "output_dir": str(root / "run"),
        "resolution": 64,
        "resolution_type": "pixel",
        "train_batch_size": 2,
        "max_train_steps": 10,
        "optimizer": "adamw_bf16",
        "learning_rate": 1e-4,
        "validation_resolution": "64",
        **config,
    }
    written = {key: value for key, value in values.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(written), encoding="utf-8")
    backend = {
        "id": "pictures",
        "type": "local",
        "instance_data_dir": str(pictures),
        "caption_strategy": "textfile",
        "instance_prompt": "sks",
        "resolution": 64,
        "resolution_type": "pixel",
        **(dataset or {}),
    }
    (folder / "multidatabackend.json").write_text(json.dumps([backend]), encoding="utf-8")
    return folder


def write_checkpoint(run: Path, step: int) -> Path:
    """As much of a checkpoint as a plan reads: its state, and files of tensors that hold none."""
    folder = run / f"checkpoint-{step}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "training_state.json").write_text(json.dumps({"global_step": step}), encoding="utf-8")
    for name in ("pytorch_lora_weights", "optimizer", "random_states"):
        (folder / f"{name}.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    return folder

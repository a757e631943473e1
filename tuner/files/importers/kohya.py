"""kohya's sd-scripts, `flux_train_network.py`: a .toml or .json of its arguments, with its dataset .toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuner.files.documents import parse_json, read_text
from tuner.files.importers.foreign import (
    Foreign,
    beside,
    carry,
    flavour_of,
    named_prompts,
    translated,
)
from tuner.files.importers.recipe import Recipe

OPTIMIZERS = {
    "adamw": "torch-adamw",
    "adamw8bit": "bnb-adamw8bit",
    "pagedadamw": "bnb-adamw-paged",
    "pagedadamw8bit": "bnb-adamw8bit-paged",
    "pagedadamw32bit": "bnb-adamw-paged",
    "lion": "bnb-lion",
    "lion8bit": "bnb-lion8bit",
    "pagedlion8bit": "bnb-lion8bit-paged",
    "adafactor": "torch-adafactor",
    "prodigy": "prodigy",
    "adamwschedulefree": "adamw_schedulefree",
}
SCHEDULES = {
    name: name
    for name in ("constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial")
} | {"adafactor": "constant"}
_PLAIN = {
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "gradient_checkpointing": "gradient_checkpointing",
    "seed": "seed",
    "network_dropout": "lora_dropout",
    "lr_scheduler_num_cycles": "lr_num_cycles",
    "lr_scheduler_power": "lr_power",
    "sigmoid_scale": "flow_sigmoid_scale",
    "huber_c": "huber_c",
    "apply_t5_attn_mask": "flux_attention_masked_training",
    "t5xxl_max_token_length": "tokenizer_max_length",
    "blocks_to_swap": "musubi_blocks_to_swap",
    "save_every_n_steps": "checkpoint_step_interval",
    "save_every_n_epochs": "checkpoint_epoch_interval",
    "save_last_n_steps_state": "checkpoints_total_limit",
    "sample_every_n_steps": "validation_step_interval",
    "sample_every_n_epochs": "validation_epoch_interval",
    "network_dim": "lora_rank",
    "network_alpha": "lora_alpha",
    "guidance_scale": "flux_guidance_value",
}
_ALWAYS = (
    "cache_latents",
    "cache_latents_to_disk",
    "cache_text_encoder_outputs",
    "cache_text_encoder_outputs_to_disk",
    "network_train_unet_only",
    "enable_bucket",
    "bucket_no_upscale",
    "persistent_data_loader_workers",
    "sdpa",
    "xformers",
    "mem_eff_attn",
    "min_bucket_reso",
    "max_bucket_reso",
    "bucket_reso_steps",
    "save_model_as",
    "save_precision",
    "disable_mmap_load_safetensors",
)
_OWN = (
    "output_dir",
    "logging_dir",
    "log_with",
    "log_prefix",
    "log_tracker_name",
    "log_tracker_config",
    "max_data_loader_n_workers",
    "config_file",
    "num_cpu_threads_per_process",
    "lowram",
    "highvram",
    "lowvram",
    "no_metadata",
    "training_comment",
    "prior_loss_weight",
    "console_log_level",
    "console_log_simple",
    "save_state",
    "save_state_on_train_end",
    "resume",
    "huggingface_repo_id",
    "huggingface_token",
)
MODEL_OWN = "text encoders and VAE are taken from the model's own repository"


def recognises(path: Path, document: Any) -> bool:
    return isinstance(document, Mapping) and bool(
        {"network_module", "network_dim", "t5xxl", "dataset_config"} & flat(document).keys()
    )


def flat(document: Mapping[str, Any]) -> dict[str, Any]:
    """Its .toml may have sections, which mean nothing."""
    result: dict[str, Any] = {}
    for key, value in document.items():
        result |= flat(value) if isinstance(value, Mapping) else {key: value}
    return result


def read(path: Path, document: Any) -> Recipe:
    foreign = Foreign(flat(document))
    recipe = Recipe(left=foreign.left, name=str(foreign.take("output_name", default=path.stem)))
    config = recipe.config
    carry(foreign, _PLAIN, config)
    _model(foreign, config)
    _network(foreign, recipe)
    _learning(foreign, config)
    _noise(foreign, config)
    _datasets(foreign, recipe, path)
    _samples(foreign, recipe, path)
    foreign.leave(MODEL_OWN, "clip_l", "t5xxl", "ae", "vae")
    foreign.leave("text encoders are not trained here", "text_encoder_lr", "train_t5xxl")
    foreign.leave("blocks are streamed as memory asks for it", "split_mode", "cpu_offload_checkpointing")
    foreign.ignore(*_ALWAYS, *_OWN)
    foreign.leave_rest()
    return recipe


def _model(foreign: Foreign, config: dict[str, Any]) -> None:
    model = foreign.take("pretrained_model_name_or_path")
    if model:
        config["pretrained_model_name_or_path"] = str(model)
    name = str(model or "").lower()
    config["model_flavour"] = flavour_of(name)
    if foreign.take("fp8_base", "fp8_base_unet"):
        config["base_model_precision"] = "fp8-quanto"
    precision = foreign.take("mixed_precision", default="bf16")
    config["mixed_precision"] = "no" if precision == "no" else "bf16"
    if precision == "fp16":
        foreign.left.append("'mixed_precision': fp16 cannot hold FLUX.1's numbers; bf16 is taken.")
    foreign.leave("the adapter itself is always float32", "full_bf16", "full_fp16")


def _network(foreign: Foreign, recipe: Recipe) -> None:
    module = str(foreign.take("network_module", default="networks.lora_flux"))
    options = dict(one.partition("=")[::2] for one in foreign.take("network_args", default=()) or ())
    recipe.config["flux_lora_target"] = "all+ffs"
    if "lycoris" in module:
        recipe.config["lora_type"] = "lycoris"
        recipe.lycoris = _lycoris(recipe.config, options)
        for key in options:
            foreign.left.append(f"'network_args': '{key}' has no counterpart here.")
        return
    for key, value in options.items():
        foreign.left.append(f"'network_args': '{key}={value}' is not carried over; see 'flux_lora_target'.")
    foreign.leave("an adapter of another program is not gone on with", "network_weights", "dim_from_weights")


def _lycoris(config: dict[str, Any], options: dict[str, str]) -> dict[str, Any]:
    """lycoris_config.json of the network's arguments; takes those it knows out of `options`."""
    known: dict[str, Any] = {"algo": options.pop("algo", "lora"), "multiplier": 1.0}
    known["linear_dim"] = config.pop("lora_rank", 4)
    known["linear_alpha"] = config.pop("lora_alpha", 1)
    options.pop("preset", None)
    if "factor" in options:
        known["factor"] = int(options.pop("factor"))
    known["apply_preset"] = {"target_module": ["Attention", "FeedForward"]}
    return known


def _learning(foreign: Foreign, config: dict[str, Any]) -> None:
    carry(foreign, {"train_batch_size": "train_batch_size"}, config)
    rate = foreign.take("unet_lr", "learning_rate")
    if rate is not None:
        config["learning_rate"] = rate
    epochs, steps = foreign.take("max_train_epochs"), foreign.take("max_train_steps")
    if epochs:
        config["num_train_epochs"] = int(epochs)
    else:
        config["max_train_steps"] = int(steps or 1600)
    config["optimizer"] = translated(foreign, "optimizer_type", OPTIMIZERS, "adamw_bf16", "adamw_bf16")
    schedule = translated(foreign, "lr_scheduler", SCHEDULES, "constant", "constant")
    warmup = float(foreign.take("lr_warmup_steps", default=0) or 0)
    config["lr_warmup_steps"] = int(warmup if warmup >= 1 else warmup * config.get("max_train_steps", 0))
    warm = schedule == "constant" and config["lr_warmup_steps"]
    config["lr_scheduler"] = "constant_with_warmup" if warm else schedule
    config |= {"max_grad_norm": foreign.take("max_grad_norm", default=1.0), "grad_clip_method": "norm"}
    foreign.leave("options of optimizers have other names here; see 'optimizer_config'", "optimizer_args")


def _noise(foreign: Foreign, config: dict[str, Any]) -> None:
    shift = foreign.take("discrete_flow_shift", default=3.0)
    how = str(foreign.take("timestep_sampling", default="sigma"))
    ways: dict[str, dict[str, Any]] = {
        "shift": {"flow_schedule_shift": shift},
        "flux_shift": {"flow_schedule_auto_shift": True},
        "sigmoid": {"flow_schedule_shift": 1.0},
        "uniform": {"flow_use_uniform_schedule": True, "flow_schedule_shift": 1.0},
        "sigma": {"flow_use_uniform_schedule": True, "flow_schedule_shift": shift},
    }
    if how not in ways:
        foreign.left.append(f"'timestep_sampling': '{how}' is not known here; 'shift' is taken.")
    config |= ways.get(how, ways["shift"])
    config["flux_guidance_mode"] = "constant"
    config["loss_type"] = translated(
        foreign, "loss_type", {"l2": "l2", "huber": "huber", "smooth_l1": "smooth_l1"}, "l2", "l2"
    )
    foreign.leave("the velocity is learned as it is", "weighting_scheme")
    foreign.ignore("model_prediction_type", "huber_schedule")


def _datasets(foreign: Foreign, recipe: Recipe, path: Path) -> None:
    common = {
        "resolution": _edge(foreign.take("resolution")),
        "caption_extension": foreign.take("caption_extension"),
    }
    dropout = foreign.take("caption_dropout_rate", default=0.0)
    recipe.config["caption_dropout_probability"] = dropout
    foreign.leave("pictures are not mirrored or coloured here", "flip_aug", "color_aug", "random_crop")
    file = foreign.take("dataset_config")
    if file:
        _dataset_file(foreign, recipe, str(file), path)
    foreign.ignore("shuffle_caption", "keep_tokens")
    shuffle = bool(foreign.document.get("shuffle_caption"))
    for key, regular in (("train_data_dir", False), ("reg_data_dir", True)):
        folder = foreign.take(key)
        if folder:
            for name, repeats, words in _kohya_folders(str(folder)):
                recipe.add_pictures(
                    name, repeats, words, resolution=common["resolution"], regular=regular, shuffle=shuffle
                )


def _kohya_folders(folder: str) -> list[tuple[str, int, str]]:
    """`10_sks dog` inside means 10 repeats of the class `sks dog`; (folder, repeats, words)."""
    top = Path(folder)
    found = [path for path in top.iterdir() if path.is_dir()] if top.is_dir() else []
    named = [(path, re.fullmatch(r"(\d+)_(.*)", path.name)) for path in sorted(found)]
    inside = [(str(path), int(match[1]), match[2]) for path, match in named if match]
    return inside or [(folder, 1, "")]


def _dataset_file(foreign: Foreign, recipe: Recipe, name: str, path: Path) -> None:
    file = beside(name, path)
    if file is None:
        foreign.left.append(f"'dataset_config': '{name}' is not there; give the folder of your pictures.")
        return
    text = read_text(file)
    document = parse_json(text, dict, file) if file.suffix == ".json" else tomllib.loads(text)
    whole = Foreign(document, foreign.left, "dataset_config: ")
    general = dict(document.get("general", {}))
    whole.ignore("general")
    for one in whole.parts("datasets"):
        _dataset(Foreign({**general, **one.document}, foreign.left, one.name), recipe)
    whole.leave_rest()


def _dataset(one: Foreign, recipe: Recipe) -> None:
    batch = one.take("batch_size")
    if batch:
        recipe.config["train_batch_size"] = int(batch)
    resolution = _edge(one.take("resolution"))
    for subset in one.parts("subsets"):
        merged = {**{k: v for k, v in one.document.items() if k != "subsets"}, **subset.document}
        inner = Foreign(merged, one.left, subset.name)
        inner.ignore("batch_size", "resolution", "caption_extension", *_ALWAYS)
        if inner.take("caption_dropout_rate"):
            recipe.config["caption_dropout_probability"] = inner.document["caption_dropout_rate"]
        recipe.add_pictures(
            str(inner.take("image_dir", default="")),
            int(inner.take("num_repeats", default=1)),
            str(inner.take("class_tokens", default="")),
            resolution=resolution,
            regular=bool(inner.take("is_reg")),
            shuffle=bool(inner.take("shuffle_caption")),
        )
        inner.leave("pictures are not mirrored or coloured here", "flip_aug", "color_aug", "random_crop")
        inner.ignore("keep_tokens")
        inner.leave_rest()


def _edge(resolution: Any) -> float | None:
    """`1024`, `"1024,768"` and `[1024, 768]` as the edge of a square of that area."""
    if resolution is None:
        return None
    edges = [float(number) for number in re.findall(r"\d+", str(resolution))]
    return (edges[0] * edges[-1]) ** 0.5 if edges else None


def _samples(foreign: Foreign, recipe: Recipe, path: Path) -> None:
    foreign.ignore("sample_sampler")
    recipe.config["validation_disable_unconditional"] = True
    recipe.config["validation_on_startup"] = bool(foreign.take("sample_at_first"))
    file = foreign.take("sample_prompts")
    found = beside(str(file), path) if file else None
    if file and found is None:
        foreign.left.append(f"'sample_prompts': '{file}' is not there.")
    if found is None:
        return
    lines = [line for line in read_text(found).splitlines() if line.strip() and not line.startswith("#")]
    recipe.library = named_prompts(re.split(r"\s--\w\s", line)[0] for line in lines)
    flags = dict(re.findall(r"--([whds])\s+(\d+)", lines[0])) if lines else {}
    if {"w", "h"} <= flags.keys():
        recipe.config["validation_resolution"] = f"{flags['w']}x{flags['h']}"
    if "d" in flags:
        recipe.config["validation_seed"] = int(flags["d"])

"""ostris' ai-toolkit: a .yaml (or .json) job with one process of type sd_trainer or diffusion_trainer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuner.files.importers.foreign import Foreign, carry, flavour_of, named_prompts, translated
from tuner.files.importers.recipe import Recipe
from tuner.settings.run import TOKEN

OPTIMIZERS = {
    "adamw": "torch-adamw",
    "adamw8bit": "bnb-adamw8bit",
    "adam": "torch-adam",
    "adam8bit": "bnb-adam8bit",
    "lion": "bnb-lion",
    "lion8bit": "bnb-lion8bit",
    "prodigy": "prodigy",
    "adafactor": "torch-adafactor",
    "adagrad": "torch-adagrad",
}
PRECISIONS = {
    "qfloat8": "fp8-quanto",
    "float8": "fp8-quanto",
    "qint8": "int8-quanto",
    "int8": "int8-quanto",
    "qint4": "int4-quanto",
    "uint4": "int4-quanto",
    "int4": "int4-quanto",
    "nf4": "nf4-bnb",
}
SCHEDULES = {
    name: name for name in ("constant", "constant_with_warmup", "linear", "cosine", "polynomial")
} | {"cosine_with_restarts": "cosine_with_restarts"}
_OWN = ("device", "training_folder", "sqlite_db_path", "logging", "performance_log_every", "type", "meta")


def recognises(path: Path, document: Any) -> bool:
    config = document.get("config") if isinstance(document, Mapping) else None
    return isinstance(config, Mapping) and "process" in config


def read(path: Path, document: Any) -> Recipe:
    job = Foreign(document["config"])
    processes = job.parts("process")
    recipe = Recipe(left=job.left, name=str(job.take("name", default=path.stem)))
    for other in processes[1:]:
        recipe.left.append(f"'{other.name.rstrip('.')}': only the first process is read.")
    if processes:
        _process(processes[0], recipe)
    job.leave_rest()
    return recipe


def _process(process: Foreign, recipe: Recipe) -> None:
    trigger = str(process.take("trigger_word", default=""))
    recipe.config["flux_lora_target"] = "ai-toolkit"
    _network(process.part("network"), recipe)
    _saving(process.part("save"), recipe.config)
    _learning(process.part("train"), recipe.config)
    _model(process.part("model"), recipe.config)
    _samples(process.part("sample"), recipe, trigger)
    for one in process.parts("datasets"):
        _dataset(one, recipe, trigger)
    process.ignore(*_OWN)
    process.leave_rest()


def _network(network: Foreign, recipe: Recipe) -> None:
    kind = str(network.take("type", default="lora")).lower()
    carry(
        network,
        {"linear": "lora_rank", "linear_alpha": "lora_alpha", "dropout": "lora_dropout"},
        recipe.config,
    )
    if kind == "lokr":
        full, factor = network.take("lokr_full_rank"), network.take("lokr_factor", default=-1)
        recipe.config["lora_type"] = "lycoris"
        recipe.lycoris = {
            "algo": "lokr",
            "multiplier": 1.0,
            "linear_dim": 10000 if full else recipe.config.pop("lora_rank", 16),
            "linear_alpha": recipe.config.pop("lora_alpha", 1),
            "factor": factor,
            "apply_preset": {"target_module": ["Attention", "FeedForward"]},
        }
        recipe.config.pop("lora_rank", None)
    network.ignore("lokr_full_rank", "lokr_factor")
    network.leave("FLUX.1 has no convolutions", "conv", "conv_alpha")
    network.leave("layers are chosen by 'flux_lora_target'", "network_kwargs")
    network.leave_rest()


def _saving(save: Foreign, config: dict[str, Any]) -> None:
    carry(
        save,
        {"save_every": "checkpoint_step_interval", "max_step_saves_to_keep": "checkpoints_total_limit"},
        config,
    )
    save.leave("nothing is uploaded", "push_to_hub", "hf_repo_id", "hf_private")
    save.ignore("dtype", "save_format")
    save.leave_rest()


def _learning(train: Foreign, config: dict[str, Any]) -> None:
    table = {
        "batch_size": "train_batch_size",
        "steps": "max_train_steps",
        "gradient_accumulation": "gradient_accumulation_steps",
        "gradient_accumulation_steps": "gradient_accumulation_steps",
        "gradient_checkpointing": "gradient_checkpointing",
        "lr": "learning_rate",
    }
    carry(train, table, config)
    config["optimizer"] = translated(train, "optimizer", OPTIMIZERS, "adamw_bf16", "adamw_bf16")
    config["lr_scheduler"] = translated(train, "lr_scheduler", SCHEDULES, "constant", "constant")
    config |= {"max_grad_norm": train.take("max_grad_norm", default=1.0), "grad_clip_method": "norm"}
    ema = train.part("ema_config")
    config["use_ema"] = bool(ema.take("use_ema"))
    carry(ema, {"ema_decay": "ema_decay"}, config)
    ema.leave_rest()
    ways: dict[str, dict[str, Any]] = {
        "sigmoid": {"flow_schedule_shift": 1.0},
        "linear": {"flow_use_uniform_schedule": True, "flow_schedule_shift": 1.0},
        "shift": {"flow_schedule_auto_shift": True},
        "flux_shift": {"flow_schedule_auto_shift": True},
    }
    config |= translated(train, "timestep_type", ways, ways["sigmoid"], "'sigmoid'")
    config["flux_guidance_mode"], config["flux_guidance_value"] = "constant", 1.0
    config["validation_on_startup"] = not train.take("skip_first_sample")
    config["validation_disable"] = bool(train.take("disable_sampling"))
    config["mixed_precision"] = "no" if train.take("dtype") in ("fp32", "float32") else "bf16"
    train.leave("text encoders are not trained here", "train_text_encoder")
    train.leave("options of optimizers have other names here; see 'optimizer_config'", "optimizer_params")
    train.ignore(
        "train_unet",
        "noise_scheduler",
        "content_or_style",
        "linear_timesteps",
        "cache_text_embeddings",
        "unload_text_encoder",
        "force_first_sample",
        "lr_scheduler_params",
    )
    train.leave_rest()


def _model(model: Foreign, config: dict[str, Any]) -> None:
    name = model.take("name_or_path")
    if name:
        config["pretrained_model_name_or_path"] = str(name)
    text = str(name or "").lower()
    config["model_flavour"] = flavour_of(text)
    kind = translated(model, "qtype", PRECISIONS, "fp8-quanto", "fp8-quanto")
    if model.take("quantize"):
        config["base_model_precision"] = kind
    carry(model, {"assistant_lora_path": "assistant_lora_path"}, config)
    kind_of_text = translated(model, "qtype_te", PRECISIONS, "fp8-quanto", "fp8-quanto")
    if model.take("quantize_te"):
        config["text_encoder_2_precision"] = kind_of_text
    model.leave("blocks are streamed as memory asks for it", "low_vram", "layer_offloading")
    model.ignore(
        "is_flux", "arch", "layer_offloading_transformer_percent", "layer_offloading_text_encoder_percent"
    )
    model.leave_rest()


def _samples(sample: Foreign, recipe: Recipe, trigger: str) -> None:
    table = {
        "sample_every": "validation_step_interval",
        "seed": "validation_seed",
        "guidance_scale": "validation_guidance",
        "sample_steps": "validation_num_inference_steps",
    }
    carry(sample, table, recipe.config)
    width, height = sample.take("width", default=1024), sample.take("height", default=1024)
    recipe.config["validation_resolution"] = f"{width}x{height}"
    recipe.config["validation_disable_unconditional"] = True
    written = [one.take("prompt", default="") for one in sample.parts("samples")]
    prompts = [str(one) for one in [*(sample.take("prompts") or ()), *written]]
    recipe.library = named_prompts(one.replace("[trigger]", TOKEN if trigger else "") for one in prompts)
    sample.leave("FLUX.1 is sampled without a negative prompt", "neg")
    sample.ignore("sampler", "walk_seed", "num_frames", "fps")
    sample.leave_rest()


def _dataset(one: Foreign, recipe: Recipe, trigger: str) -> None:
    folder = str(one.take("folder_path", "dataset_path", default=""))
    times = float(one.take("num_repeats", default=1))
    resolutions = one.take("resolution", default=[1024])
    regular, shuffle = bool(one.take("is_reg")), bool(one.take("shuffle_tokens"))
    for resolution in resolutions if isinstance(resolutions, list) else [resolutions]:
        entry = recipe.add_pictures(
            folder, times, trigger, resolution=float(resolution), regular=regular, shuffle=shuffle
        )
        if trigger:
            entry["prepend_instance_prompt"] = True
    dropout = one.take("caption_dropout_rate")
    if dropout is not None:
        recipe.config["caption_dropout_probability"] = dropout
    one.leave("masks are a dataset of type conditioning here", "mask_path", "mask_min_value")
    one.leave("pictures are not mirrored here", "flip_x", "flip_y")
    one.ignore("caption_ext", "cache_latents_to_disk", "cache_latents", "num_frames", "network_weight")
    one.leave_rest()

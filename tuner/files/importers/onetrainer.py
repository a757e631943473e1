"""OneTrainer: the .json that it saves, with its concepts and samples inside or in files of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tuner.errors import ConfigFileBroken
from tuner.files.documents import parse_json, read_text
from tuner.files.importers.foreign import Foreign, beside, carry, flavour_of, named_prompts, translated
from tuner.files.importers.recipe import Recipe

OPTIMIZERS = {
    "adamw": "torch-adamw",
    "adamw_8bit": "bnb-adamw8bit",
    "adam": "torch-adam",
    "adam_8bit": "bnb-adam8bit",
    "lion": "bnb-lion",
    "lion_8bit": "bnb-lion8bit",
    "adafactor": "torch-adafactor",
    "prodigy": "prodigy",
    "schedule_free_adamw": "adamw_schedulefree",
    "adagrad": "torch-adagrad",
    "rmsprop": "torch-rmsprop",
    "ademamix": "bnb-ademamix",
    "ademamix_8bit": "bnb-ademamix8bit",
    "muon": "muon",
}
PRECISIONS = {
    "nfloat_4": "nf4-bnb",
    "int_8": "int8-quanto",
    "float_8": "fp8-quanto",
    "bfloat_16": "no_change",
    "float_16": "no_change",
    "float_32": "no_change",
    "int_w8a8": "int8-quanto",
    "float_w8a8": "fp8-quanto",
    "gguf": "int4-quanto",
}
SCHEDULES = {
    "constant": "constant",
    "linear": "linear",
    "cosine": "cosine",
    "cosine_with_restarts": "cosine_with_restarts",
}
LAYERS = {"full": "all+ffs", "blocks": "all+ffs", "attn-mlp": "all+ffs", "attn-only": "all"}
_OWN = (
    "__version",
    "debug_mode",
    "debug_dir",
    "workspace_dir",
    "cache_dir",
    "tensorboard",
    "tensorboard_port",
    "tensorboard_expose",
    "tensorboard_always_on",
    "dataloader_threads",
    "train_device",
    "temp_device",
    "output_dtype",
    "output_model_format",
    "include_train_config",
    "latent_caching",
    "clear_cache_before_training",
    "continue_last_backup",
    "backup_after",
    "backup_after_unit",
    "rolling_backup",
    "rolling_backup_count",
    "only_cache",
    "aspect_ratio_bucketing",
    "attention_mechanism",
    "save_filename_prefix",
    "secrets",
    "cloud",
    "concepts",
    "samples",
    "training_method",
    "weight_dtype",
    "fallback_train_dtype",
    "enable_autocast_cache",
    "samples_to_tensorboard",
    "sample_image_format",
    "non_ema_sampling",
    "multi_gpu",
    "device_indexes",
)


def recognises(path: Path, document: Any) -> bool:
    return isinstance(document, Mapping) and {"training_method", "base_model_name"} <= document.keys()


def read(path: Path, document: Any) -> Recipe:
    kind = str(document.get("model_type", ""))
    if not kind.startswith("FLUX_DEV") and kind != "FLUX_FILL_DEV_1":
        raise ConfigFileBroken(f"'{path}' trains a '{kind}'; only FLUX.1 is trained here.")
    foreign = Foreign(document)
    name = str(foreign.take("output_model_destination", default=path.stem))
    recipe = Recipe(left=foreign.left, name=Path(name.replace("\\", "/")).stem)
    foreign.ignore("model_type")
    _model(foreign, recipe.config)
    _adapter(foreign, recipe)
    _learning(foreign, recipe.config)
    _noise(foreign, recipe.config)
    _saving(foreign, recipe.config)
    _concepts(foreign, recipe, path)
    _samples(foreign, recipe, path)
    foreign.ignore(*_OWN)
    foreign.leave_rest()
    return recipe


def _model(foreign: Foreign, config: dict[str, Any]) -> None:
    model = foreign.take("base_model_name")
    if model:
        config["pretrained_model_name_or_path"] = str(model)
    text = str(model or "").lower()
    config["model_flavour"] = flavour_of(text)
    parts = {
        "transformer": "base_model_precision",
        "prior": "base_model_precision",
        "text_encoder": "text_encoder_1_precision",
        "text_encoder_2": "text_encoder_2_precision",
    }
    for theirs, ours in parts.items():
        part = foreign.part(theirs)
        value = translated(part, "weight_dtype", PRECISIONS, None, "'no_change'")
        if value:
            config[ours] = value
        name = part.take("model_name")
        if theirs in ("transformer", "prior") and name:
            config["pretrained_transformer_model_name_or_path"] = name
        if theirs.startswith("text") and part.document.get("train"):
            foreign.left.append(f"'{theirs}.train': text encoders are not trained here.")
    foreign.ignore("vae", "text_encoder_3", "text_encoder_4", "unet", "embedding", "additional_embeddings")


def _adapter(foreign: Foreign, recipe: Recipe) -> None:
    kind = str(foreign.take("peft_type", default="LORA"))
    carry(
        foreign,
        {
            "lora_rank": "lora_rank",
            "lora_alpha": "lora_alpha",
            "lora_decompose": "use_dora",
            "lora_model_name": "init_lora",
        },
        recipe.config,
    )
    if kind == "LOHA":
        config = recipe.config
        config["lora_type"] = "lycoris"
        recipe.lycoris = {
            "algo": "loha",
            "multiplier": 1.0,
            "linear_dim": config.pop("lora_rank", 16),
            "linear_alpha": config.pop("lora_alpha", 1),
            "apply_preset": {"target_module": ["Attention", "FeedForward"]},
        }
    elif kind != "LORA":
        recipe.left.append(f"'peft_type': '{kind}' is not known here; a plain LoRA is trained.")
    preset = foreign.take("layer_filter_preset", "lora_layer_preset", default="full")
    recipe.config["flux_lora_target"] = LAYERS.get(str(preset), "all+ffs")
    foreign.leave("layers are chosen by 'flux_lora_target'", "layer_filter", "lora_layers")
    foreign.ignore(
        "lora_weight_dtype",
        "layer_filter_regex",
        "lora_decompose_norm_epsilon",
        "bundle_additional_embeddings",
        "lora_decompose_output_axis",
        "layer_filter_exclude",
    )
    carry(foreign, {"dropout_probability": "lora_dropout"}, recipe.config)


def _learning(foreign: Foreign, config: dict[str, Any]) -> None:
    table = {
        "learning_rate": "learning_rate",
        "epochs": "num_train_epochs",
        "batch_size": "train_batch_size",
        "gradient_accumulation_steps": "gradient_accumulation_steps",
        "learning_rate_cycles": "lr_num_cycles",
        "ema_decay": "ema_decay",
        "ema_update_step_interval": "ema_update_interval",
        "seed": "seed",
    }
    carry(foreign, table, config)
    config["lr_num_cycles"] = int(config.get("lr_num_cycles", 1))
    optimizer = foreign.part("optimizer")
    config["optimizer"] = translated(optimizer, "optimizer", OPTIMIZERS, "adamw_bf16", "adamw_bf16")
    foreign.ignore("optimizer_defaults")
    config["lr_scheduler"] = translated(foreign, "learning_rate_scheduler", SCHEDULES, "constant", "constant")
    config["lr_warmup_steps"] = int(foreign.take("learning_rate_warmup_steps", default=0))
    if config["lr_scheduler"] == "constant" and config["lr_warmup_steps"]:
        config["lr_scheduler"] = "constant_with_warmup"
    config |= {"max_grad_norm": foreign.take("clip_grad_norm", default=1.0), "grad_clip_method": "norm"}
    checkpointing = foreign.take("gradient_checkpointing", default="ON")
    config["gradient_checkpointing"] = checkpointing not in ("OFF", False)
    ema = str(foreign.take("ema", default="OFF"))
    config |= {"use_ema": ema != "OFF", "ema_device": "accelerator" if ema == "GPU" else "cpu"}
    scale = str(foreign.take("learning_rate_scaler", default="NONE"))
    config["lr_scale"] = scale not in ("NONE", "None")
    config["mixed_precision"] = "no" if foreign.take("train_dtype") == "FLOAT_32" else "bf16"
    foreign.leave("blocks are streamed as memory asks for it", "layer_offload_fraction")
    foreign.ignore("enable_activation_offloading", "enable_async_offloading", "learning_rate_min_factor")


def _noise(foreign: Foreign, config: dict[str, Any]) -> None:
    shift = foreign.take("timestep_shift", default=1.0)
    ways: dict[str, dict[str, Any]] = {
        "logit_normal": {"flow_schedule_shift": shift},
        "uniform": {"flow_use_uniform_schedule": True, "flow_schedule_shift": shift},
        "sigmoid": {"flow_schedule_shift": shift},
    }
    config |= translated(foreign, "timestep_distribution", ways, ways["logit_normal"], "'LOGIT_NORMAL'")
    config["flow_schedule_auto_shift"] = bool(foreign.take("dynamic_timestep_shifting"))
    config["flux_guidance_mode"] = "constant"
    config["flux_guidance_value"] = foreign.part("transformer").take("guidance_scale", default=1.0)
    foreign.leave("masks are a dataset of type conditioning here", "masked_training", "unmasked_probability")
    foreign.ignore(
        "mse_strength",
        "loss_weight_fn",
        "unmasked_weight",
        "min_noising_strength",
        "max_noising_strength",
        "noising_weight",
        "noising_bias",
    )


def _saving(foreign: Foreign, config: dict[str, Any]) -> None:
    units = {"STEP": "checkpoint_step_interval", "EPOCH": "checkpoint_epoch_interval"}
    number, unit = foreign.take("save_every", default=0), foreign.take("save_every_unit", default="NEVER")
    if unit in units and number:
        config[units[str(unit)]] = int(number)
    units = {"STEP": "validation_step_interval", "EPOCH": "validation_epoch_interval"}
    number, unit = foreign.take("sample_after", default=0), foreign.take("sample_after_unit", default="NEVER")
    if unit in units and number:
        config[units[str(unit)]] = int(number)
    elif unit in ("MINUTE", "HOUR"):
        foreign.left.append("'sample_after_unit': samples are made every so many steps or epochs here.")


def _listed(foreign: Foreign, inside: str, named: str, path: Path) -> Iterable[Any]:
    """A list that stands in the file itself, or in one that it names."""
    file = foreign.take(named)
    if foreign.document.get(inside):
        return list(foreign.document[inside])
    found = beside(str(file), path) if file else None
    if file and found is None:
        foreign.left.append(f"'{named}': '{file}' is not there.")
    listed: list[Any] = parse_json(read_text(found), list, found) if found else []
    return listed


def _concepts(foreign: Foreign, recipe: Recipe, path: Path) -> None:
    sizes = str(foreign.take("resolution", default="1024")).split(",")
    edges = [float(one.split("x")[0]) for one in sizes if one.strip()]
    for number, one in enumerate(_listed(foreign, "concepts", "concept_file_name", path)):
        concept = Foreign(one, foreign.left, f"concepts[{number}].")
        if not concept.take("enabled", default=True):
            continue
        text = concept.part("text")
        trigger = ""
        if text.take("prompt_source", default="sample") == "concept":
            trigger = _words(str(text.take("prompt_path", default="")), path)
        times = float(concept.take("balancing", default=1.0))
        for edge in edges:
            entry = recipe.add_pictures(
                str(concept.take("path", default="")),
                times if concept.document.get("balancing_strategy", "REPEATS") == "REPEATS" else 1,
                trigger,
                resolution=edge,
                regular=concept.document.get("type") == "PRIOR_PREDICTION",
                shuffle=bool(text.document.get("enable_tag_shuffling")),
            )
            if trigger:
                entry["caption_strategy"] = "instanceprompt"
            elif text.document.get("prompt_source") == "filename":
                entry["caption_strategy"] = "filename"
        if _changes_pictures(concept.part("image").document):
            foreign.left.append(f"'{concept.name}image': pictures are not changed at random here.")


def _changes_pictures(image: Mapping[str, Any]) -> bool:
    names = ("flip", "rotate", "brightness", "contrast", "saturation", "hue")
    return any(image.get(f"enable_random_{name}") for name in names)


def _words(file: str, path: Path) -> str:
    """The first line of a file of prompts."""
    found = beside(file, path) if file else None
    return read_text(found).strip().partition("\n")[0] if found else ""


def _samples(foreign: Foreign, recipe: Recipe, path: Path) -> None:
    listed = list(_listed(foreign, "samples", "sample_definition_file_name", path))
    samples = [one for one in listed if one.get("enabled", True)]
    recipe.library = named_prompts(str(one.get("prompt", "")) for one in samples)
    recipe.config["validation_disable_unconditional"] = True
    if samples:
        first = samples[0]
        recipe.config |= {
            "validation_resolution": f"{first.get('width', 1024)}x{first.get('height', 1024)}",
            "validation_num_inference_steps": first.get("diffusion_steps", 20),
            "validation_guidance": first.get("cfg_scale", 3.5),
            "validation_seed": first.get("seed", 42),
        }

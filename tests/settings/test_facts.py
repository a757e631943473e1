"""The options of SimpleTuner 4.8, as its parser has them, against ours: a name, a type or a default that
differs has its reason here.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tuner.settings.fields import Spec
from tuner.settings.run import dataset_specs, specs

# key/other names of it · type (i f b s) · default as JSON (! = must be given) · choices
CONFIG = """
model_type s ! full lora
model_family s !
model_flavour s null krea dev schnell kontext fluxbooru libreflux
pretrained_model_name_or_path s null
pretrained_vae_model_name_or_path s "madebyollin/sdxl-vae-fp16-fix"
pretrained_transformer_model_name_or_path s null
pretrained_transformer_subfolder s "transformer"
revision s null
variant s null
mixed_precision s "bf16" no fp16 bf16 fp8
base_model_precision s "no_change" PRECISIONS
text_encoder_1_precision s "no_change" PRECISIONS
text_encoder_2_precision s "no_change" PRECISIONS
base_model_default_dtype s "bf16" bf16 fp32
quantize_via s "accelerator" cpu accelerator pipeline
quantize_activations b false
quantization_config s null
vae_dtype s "bf16" default fp32 fp16 bf16
vae_enable_tiling b false
vae_enable_slicing b false
vae_batch_size i 4
text_encoder_batch_size i 1
tokenizer_max_length i null
t5_padding s "unmodified" zero unmodified
fuse_qkv_projections/fused_qkv_projections b false
attention_mechanism s "diffusers"
offload_during_startup b false
gradient_checkpointing b true
gradient_checkpointing_interval i null
gradient_checkpointing_backend s "torch" torch torch-ffn unsloth unsloth-ffn
musubi_blocks_to_swap i 0
enable_group_offload b false
group_offload_type s "block_level" block_level leaf_level
group_offload_blocks_per_group i 1
group_offload_use_stream b false
group_offload_to_disk_path s null

lora_type s "standard" standard lycoris
lora_rank i 16
lora_alpha f null
lora_dropout f 0.1
lora_init_type s "default" default gaussian loftq olora pissa
use_dora b false
flux_lora_target s "all" TARGETS
peft_lora_target_modules s null
slider_lora_target b false
peft_lora_mode s "standard" standard singlora
singlora_ramp_up_steps i 0
init_lora s null
init_lora_step i null
lora_format s "diffusers" diffusers comfyui
lycoris_config s "config/lycoris_config.json"
init_lokr_norm f null
validation_lycoris_strength/validation_adapter_strength f 1.0
assistant_lora_path s null
assistant_lora_strength f 1.0
assistant_lora_inference_strength f 0.0
disable_assistant_lora b false

train_batch_size i 4
gradient_accumulation_steps i 1
max_train_steps i null
num_train_epochs i 1
strict_epoch_limit b false
learning_rate f 4e-07
lr_scheduler s "constant_with_warmup" SCHEDULES
lr_warmup_steps i 0
lr_end f 4e-07
lr_power f 0.8
lr_num_cycles i 1
lr_scale b false
lr_scale_sqrt b false
optimizer s ! OPTIMIZERS
optimizer_config s null
optimizer_beta1 f null
optimizer_beta2 f null
optimizer_release_gradients b false
max_grad_norm f 2.0
grad_clip_method s "value" value norm
gradient_precision s null unmodified fp32
use_ema b false
ema_decay f 0.995
ema_device s "cpu" cpu accelerator
ema_cpu_only b false
ema_update_interval i 1
ema_warmup_steps i 0
ema_foreach_disable b false
ema_validation s "comparison" none ema_only comparison
seed i null
seed_for_each_device b true
num_processes i 1
num_machines i 1
dynamo_backend s "no"

flow_schedule_shift f 3.0
flow_schedule_auto_shift b false
flow_sigmoid_scale f 1.0
flow_use_uniform_schedule b false
flow_use_beta_schedule b false
flow_beta_schedule_alpha f 2.0
flow_beta_schedule_beta f 2.0
flow_custom_timesteps s null
flow_timesteps_mode s "fixed-list" fixed-list round-robin
flow_cubic_schedule_weights s null
flux_fast_schedule b false
flux_guidance_mode s "constant" constant random-range
flux_guidance_value f 1.0
flux_guidance_min f 0.0
flux_guidance_max f 4.0
flux_attention_masked_training b false
loss_type s "l2" l2 huber smooth_l1
huber_schedule s "snr" snr exponential constant
huber_c f 0.1
masked_loss_probability f 1.0
caption_dropout_probability f 0.1
input_perturbation f 0.0
input_perturbation_steps i 0
tread_config s null

output_dir s !
data_backend_config s !
cache_dir s null
cache_dir_text s "cache"
cache_dir_vae s ""
resume_from_checkpoint s "latest"
checkpoint_step_interval/checkpointing_steps i 500
checkpoint_epoch_interval i null
checkpoints_total_limit/save_total_limit i 5
checkpointing_rolling_steps i 0
checkpoints_rolling_total_limit i 1
checkpointing_use_tempdir b false
delete_invalid_checkpoints b false
validation_disable b false
validation_step_interval/validation_steps i 100
validation_epoch_interval i null
validate_after_step i null
validate_after_epoch i null
validation_on_startup b false
validation_prompt s null
validation_prompt_library b false
user_prompt_library s null
validation_disable_unconditional b false
validation_negative_prompt s "blurry, cropped, ugly"
validation_guidance f 7.5
validation_guidance_real f 1.0
validation_no_cfg_until_timestep i 2
validation_num_inference_steps i 30
validation_resolution s "256"
validation_seed i null
validation_seed_source s "cpu" cpu gpu
validation_randomize b false
num_validation_images i 1
num_eval_images i 4
validation_noise_scheduler s null ddim ddpm euler euler-a unipc dpm++ perflow
validation_image_format s "png" png webp jpeg
validation_image_quality i 90
validation_preview b false
validation_preview_steps i 1
disable_benchmark b false
validation_multigpu s "batch-parallel" single-gpu batch-parallel
eval_dataset_id s null
eval_steps_interval i null
eval_timesteps i 28
report_to s "none" simpletuner tensorboard wandb swanlab comet_ml custom-tracker all none
tracker_project_name s "simpletuner"
tracker_run_name s "simpletuner-testing"
push_to_hub b false
hub_model_id s null
push_checkpoints_to_hub b false
aspect_bucket_alignment s "64"
vae_cache_ondemand b false
text_cache_ondemand b false
vae_cache_disable b false
text_cache_disable b false
max_workers i 32
resolution f 1024
resolution_type s "pixel_area" pixel area pixel_area
caption_strategy s "filename" STRATEGIES
data_backend_sampling s "auto-weighting" auto-weighting uniform
conditioning_multidataset_sampling s "random" random combined
allow_dataset_oversubscription b false
disable_bucket_pruning b false
aspect_bucket_rounding i 2
minimum_image_size f null
maximum_image_size f null
target_downsample_size f null
prepend_instance_prompt b false
delete_unwanted_images b false
delete_problematic_images b false
"""

DATASET = """
id s !
type s "local" local aws csv huggingface webshart
disabled/disable b false
instance_data_dir/instance_data_root s !
metadata_backend s "discovery" discovery json filesystem parquet huggingface webshart
max_num_samples i null
delete_unwanted_images b null
delete_problematic_images b null
resolution f null
resolution_type s null pixel area pixel_area
minimum_image_size f null
maximum_image_size f null
target_downsample_size f null
minimum_aspect_ratio f null
maximum_aspect_ratio f null
crop b false
crop_aspect s "square" square preserve closest random
crop_aspect_buckets s null
crop_style s "random" random center centre corner face
max_upscale_threshold f null
caption_strategy s null STRATEGIES
instance_prompt s null
prepend_instance_prompt b null
only_instance_prompt b false
disable_multiline_split b false
caption_shuffle s null
text_embeds/text_embed_cache s null
repeats i 0
probability f 1.0
train_batch_size i null
start_epoch i 1
start_step i 0
end_epoch i null
end_step i null
is_regularisation_data/is_regularization_data b false
timestep_sampling_offset f 0.0
slider_strength f null
cache_dir_vae s null
image_embeds s null
vae_cache_clear_each_epoch b false
vae_cache_ondemand b null
vae_cache_disable b null
vae_batch_size i null
conditioning_data s null
conditioning_type s null mask segmentation controlnet reference_strict reference_loose
source_dataset_id s null
conditioning s null
"""

LISTS = {
    "PRECISIONS": (
        "no_change int8-quanto int4-quanto int2-quanto fp8-quanto fp8uz-quanto nf4-bnb int4-torchao "
        "int8-torchao int8dq-torchao int8dq-int4-torchao fp8-torchao fp8wo-torchao fp8-int4-torchao "
        "fp8-native fp8-transformerengine int8-sdnq uint8-sdnq int16-sdnq uint16-sdnq fp16-sdnq fp8-sdnq "
        "int6-sdnq int5-sdnq uint5-sdnq uint4-sdnq uint3-sdnq uint2-sdnq"
    ),
    "TARGETS": (
        "mmdit context context+ffs all all+ffs ai-toolkit tiny nano controlnet all+ffs+embedder "
        "all+ffs+embedder+controlnet"
    ),
    "SCHEDULES": "linear sine cosine cosine_with_restarts polynomial constant constant_with_warmup",
    "STRATEGIES": "filename textfile instanceprompt parquet csv huggingface webshart",
    "OPTIMIZERS": (
        "adamw_bf16 ao-adamw8bit ao-adamw4bit ao-adamfp8 ao-adamwfp8 bnb-adamw bnb-adamw8bit bnb-adamw-paged "
        "bnb-adamw8bit-paged bnb-lion bnb-lion8bit bnb-lion-paged bnb-lion8bit-paged bnb-ademamix "
        "bnb-ademamix8bit bnb-ademamix-paged bnb-ademamix8bit-paged bnb-adam bnb-adam8bit bnb-adagrad "
        "bnb-adagrad8bit optimi-adamw optimi-stableadamw optimi-lion optimi-adam optimi-radam optimi-ranger "
        "optimi-adan optimi-sgd adamw_schedulefree adamw_schedulefree+aggressive adamw_schedulefree+no_kahan "
        "prodigy soap muon torch-adam torch-adamw torch-sgd torch-radam torch-nadam torch-rmsprop "
        "torch-adagrad torch-adadelta torch-adafactor torch-adamax torch-asgd torch-sparseadam"
    ),
}

KINDS = {"i": ("int",), "f": ("float",), "b": ("bool",), "s": ("str", "json", "list", "names", "texts")}

OURS: dict[str, tuple[Any, str]] = {
    "pretrained_vae_model_name_or_path": (None, "SimpleTuner takes its own default back on FLUX"),
    "num_train_epochs": (None, "1 beside max_train_steps is an error there; unset means 0 there and 1 alone"),
    "learning_rate": (1e-4, "4e-07 learns nothing in a usual run"),
    "cache_dir_text": (None, "everything encoded lies in cache_dir"),
    "cache_dir_vae": (None, "everything encoded lies in cache_dir"),
    "aspect_bucket_alignment": (64, "a number is a number"),
}
"""Defaults that differ, each with the reason."""


def rows(table: str) -> list[tuple[tuple[str, ...], str, str, tuple[str, ...]]]:
    found = []
    for line in table.split("\n"):
        if line:
            names, kind, default, *choices = line.split(" ", 3) if '"' not in line else _quoted(line)
            words = " ".join(choices)
            found.append((tuple(names.split("/")), kind, default, tuple(LISTS.get(words, words).split())))
    return found


def _quoted(line: str) -> list[str]:
    """The default of a text may hold blanks."""
    start, end = line.index('"'), line.rindex('"') + 1
    return [*line[:start].split(), line[start:end], line[end:].strip()]


def cases() -> list[tuple[Spec | None, tuple[Any, ...]]]:
    ours = ({spec.name: spec for spec in specs()}, {spec.name: spec for spec in dataset_specs()})
    return [
        (known.get(row[0][0]), row)
        for table, known in zip((CONFIG, DATASET), ours, strict=True)
        for row in rows(table)
    ]


@pytest.mark.parametrize(("spec", "row"), cases(), ids=[row[0][0] for _, row in cases()])
def test_an_option_is_simpletuners(spec: Spec | None, row: tuple[Any, ...]) -> None:
    (name, *others), kind, default, choices = row
    assert spec is not None, f"'{name}' is not declared"
    assert set(others) <= set(spec.aliases)
    if spec.path != "dataset.aspect_bucket_alignment":
        assert spec.kind in KINDS[kind]
    if name in OURS and spec.section != "datasets":
        assert spec.default == OURS[name][0] != json.loads(default)
    elif default != "!":
        assert spec.default == json.loads(default)
    missing = set(choices) - {str(one) for one in (*spec.choices, *spec.renamed)}
    assert not choices or not missing


OURS_ALONE = {"block_streaming", "checkpointing_fill", "modulation_eviction", "text_encoder_streaming"}
"""SimpleTuner's parser refuses a file with one of these; they are written only where they were changed."""


def test_what_we_have_beyond_it_is_known() -> None:
    told = {row[0][0] for row in rows(CONFIG)}
    known_there = {"validation_using_datasets", "modelspec_comment"}
    assert {spec.name for spec in specs()} - told - OURS_ALONE == known_there
    told = {row[0][0] for row in rows(DATASET)}
    of_tables = {"parquet", "csv_file", "csv_caption_column", "csv_url_column"}
    of_stores = {"caption_filter_list"}
    assert {spec.name for spec in dataset_specs()} - told == {"dataset_type", *of_tables, *of_stores}

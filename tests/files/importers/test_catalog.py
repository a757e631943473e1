"""Made-up configurations in the documented keys of other trainers, read as ours."""

from __future__ import annotations

import json

import pytest

from tuner.errors import ConfigFileBroken
from tuner.files import load_all, save_all
from tuner.files.importers import NAMES, imported

KOHYA = """
pretrained_model_name_or_path = "/models/flux1-dev.safetensors"
clip_l = "/models/clip_l.safetensors"
t5xxl = "/models/t5xxl_fp16.safetensors"
ae = "/models/ae.safetensors"
output_dir = "/out"
output_name = "my_cat"
mixed_precision = "bf16"
save_precision = "bf16"
fp8_base = true
network_module = "networks.lora_flux"
network_dim = 8
network_alpha = 4
network_args = ["train_blocks=single"]
optimizer_type = "AdamW8bit"
optimizer_args = ["weight_decay=0.01"]
learning_rate = 2e-4
unet_lr = 3e-4
text_encoder_lr = 1e-5
lr_scheduler = "cosine"
lr_warmup_steps = 0.1
max_train_steps = 1200
gradient_checkpointing = true
timestep_sampling = "shift"
discrete_flow_shift = 3.1582
model_prediction_type = "raw"
guidance_scale = 1.0
loss_type = "l2"
blocks_to_swap = 18
seed = 7
save_every_n_epochs = 4
noise_offset = 0.05
dataset_config = "C:\\\\data\\\\dataset.toml"
sample_prompts = "prompts.txt"
sample_every_n_steps = 200
cache_latents_to_disk = true
"""
KOHYA_DATASET = """
[general]
caption_extension = ".txt"
shuffle_caption = true

[[datasets]]
resolution = [768, 768]
batch_size = 2
enable_bucket = true

  [[datasets.subsets]]
  image_dir = "/data/cat"
  class_tokens = "sks cat"
  num_repeats = 10

  [[datasets.subsets]]
  image_dir = "/data/other"
  is_reg = true
  flip_aug = true
"""
FLUXGYM = """#!/bin/bash
accelerate launch \\
  --mixed_precision bf16 \\
  --num_cpu_threads_per_process 1 \\
  sd-scripts/flux_train_network.py \\
  --pretrained_model_name_or_path "/gym/models/unet/flux1-dev.sft" \\
  --clip_l "/gym/models/clip/clip_l.safetensors" \\
  --cache_latents_to_disk \\
  --sdpa --persistent_data_loader_workers \\
  --seed 42 \\
  --gradient_checkpointing \\
  --mixed_precision bf16 \\
  --network_module networks.lora_flux \\
  --network_dim 4 \\
  --optimizer_type adafactor \\
  --optimizer_args "relative_step=False" "scale_parameter=False" "warmup_init=False" \\
  --split_mode \\
  --network_args "train_blocks=single" \\
  --lr_scheduler constant_with_warmup \\
  --max_grad_norm 0.0 \\
  --sample_prompts="/gym/outputs/dog/sample_prompts.txt" --sample_every_n_steps="100" \\
  --learning_rate 8e-4 \\
  --fp8_base \\
  --max_train_epochs 16 \\
  --save_every_n_epochs 4 \\
  --dataset_config "/gym/outputs/dog/dataset.toml" \\
  --output_name dog \\
  --timestep_sampling shift \\
  --discrete_flow_shift 3.1582 \\
  --loss_type l2
"""
AI_TOOLKIT = """
job: extension
config:
  name: "my_first_flux_lora_v1"
  process:
    - type: 'sd_trainer'
      training_folder: "output"
      device: cuda:0
      trigger_word: "p3r5on"
      network: {type: "lora", linear: 16, linear_alpha: 16}
      save: {dtype: float16, save_every: 250, max_step_saves_to_keep: 4, push_to_hub: false}
      datasets:
        - folder_path: "/path/to/images"
          caption_ext: "txt"
          caption_dropout_rate: 0.05
          shuffle_tokens: false
          cache_latents_to_disk: true
          resolution: [512, 768, 1024]
          flip_x: true
      train:
        batch_size: 1
        steps: 2000
        gradient_accumulation_steps: 2
        train_unet: true
        train_text_encoder: false
        gradient_checkpointing: true
        noise_scheduler: "flowmatch"
        optimizer: "adamw8bit"
        lr: 1.0e-4
        ema_config: {use_ema: true, ema_decay: 0.99}
        dtype: bf16
        bypass_guidance_embedding: true
      model: {name_or_path: "black-forest-labs/FLUX.1-dev", is_flux: true, quantize: true, low_vram: true}
      sample:
        sampler: "flowmatch"
        sample_every: 250
        width: 1024
        height: 768
        prompts: ["[trigger] holding a sign", "a cup"]
        neg: ""
        seed: 42
        walk_seed: true
        guidance_scale: 4
        sample_steps: 20
meta: {name: "[name]", version: '1.0'}
"""
ONETRAINER = {
    "__version": 9,
    "training_method": "LORA",
    "model_type": "FLUX_DEV_1",
    "base_model_name": "black-forest-labs/FLUX.1-dev",
    "output_model_destination": "models/cat.safetensors",
    "concept_file_name": "training_concepts/concepts.json",
    "sample_definition_file_name": "",
    "samples": [{"prompt": "a sks cat", "width": 512, "height": 512, "diffusion_steps": 20, "seed": 3}],
    "learning_rate": 0.0003,
    "learning_rate_scheduler": "CONSTANT",
    "learning_rate_warmup_steps": 200.0,
    "learning_rate_cycles": 1.0,
    "epochs": 100,
    "batch_size": 4,
    "gradient_accumulation_steps": 1,
    "clip_grad_norm": 1.0,
    "gradient_checkpointing": "CPU_OFFLOADED",
    "layer_offload_fraction": 0.4,
    "ema": "OFF",
    "ema_decay": 0.999,
    "resolution": "768",
    "train_dtype": "BFLOAT_16",
    "optimizer": {"optimizer": "ADAMW", "weight_decay": 0.01},
    "lora_rank": 32,
    "lora_alpha": 1.0,
    "transformer": {"train": True, "weight_dtype": "NFLOAT_4"},
    "text_encoder_2": {"train": False, "weight_dtype": "NFLOAT_4"},
    "timestep_distribution": "LOGIT_NORMAL",
    "timestep_shift": 1.0,
    "masked_training": True,
    "save_every": 100,
    "save_every_unit": "STEP",
    "custom_conditioning_image": True,
}  # fmt: skip
CONCEPTS = [
    {
        "name": "cat",
        "path": "/data/cat",
        "enabled": True,
        "balancing": 3.0,
        "balancing_strategy": "REPEATS",
        "text": {"prompt_source": "concept", "prompt_path": "cat.txt"},
        "image": {"enable_random_flip": True},
    },
    {"name": "off", "path": "/data/off", "enabled": False},
]


def test_kohya(tmp_path) -> None:
    (tmp_path / "dataset.toml").write_text(KOHYA_DATASET, encoding="utf-8")
    (tmp_path / "prompts.txt").write_text(
        "# mine\na sks cat --w 512 --h 640 --d 5 --s 20\n", encoding="utf-8"
    )
    (tmp_path / "config.toml").write_text(KOHYA, encoding="utf-8")
    one = imported(tmp_path / "config.toml")
    got, learning = one.settings, one.settings.optimization
    assert (one.program, one.name) == ("kohya sd-scripts", "my_cat")
    assert got.model.pretrained_model_name_or_path == "/models/flux1-dev.safetensors"
    assert (got.adapter.lora_rank, got.adapter.lora_alpha) == (8, 4)
    assert (learning.learning_rate, learning.optimizer, learning.max_train_steps) == (
        3e-4,
        "bnb-adamw8bit",
        1200,
    )
    assert (learning.lr_scheduler, learning.lr_warmup_steps, learning.train_batch_size) == ("cosine", 120, 2)
    assert got.objective.flow_schedule_shift == pytest.approx(3.1582)
    assert (got.memory.base_model_precision, got.memory.musubi_blocks_to_swap) == ("fp8-quanto", 18)
    cat, other = got.datasets
    assert (cat.instance_data_dir, cat.repeats, cat.resolution) == ("/data/cat", 9, 768)
    assert cat.instance_prompt == "sks cat" and cat.caption_shuffle == {"enable": True}
    assert other.is_regularisation_data
    assert got.library[0].prompt == "a sks cat"
    assert (got.sampling.validation_resolution, got.sampling.validation_seed) == ("512x640", 5)
    said = "\n".join(one.left)
    for key in (
        "t5xxl",
        "train_blocks=single",
        "noise_offset",
        "text_encoder_lr",
        "flip_aug",
        "optimizer_args",
    ):
        assert key in said
    for key in ("output_dir", "cache_latents_to_disk", "model_prediction_type", "caption_extension"):
        assert key not in said


def test_kohyas_folders_with_numbers(tmp_path) -> None:
    (tmp_path / "img" / "10_sks dog").mkdir(parents=True)
    config = {
        "train_data_dir": str(tmp_path / "img"),
        "network_module": "networks.lora_flux",
        "resolution": "512,512",
    }
    (tmp_path / "a.json").write_text(json.dumps(config), encoding="utf-8")
    (one,) = imported(tmp_path / "a.json").settings.datasets
    assert (one.repeats, one.instance_prompt, one.resolution) == (9, "sks dog", 512)


def test_a_lycoris_of_kohya(tmp_path) -> None:
    config = {"network_module": "lycoris.kohya", "network_dim": 16, "network_alpha": 8,
              "network_args": ["algo=lokr", "factor=8", "use_tucker=True"]}  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(config), encoding="utf-8")
    one = imported(tmp_path / "a.json")
    assert one.settings.adapter.lora_type == "lycoris"
    assert (one.settings.lycoris["algo"], one.settings.lycoris["factor"]) == ("lokr", 8)
    assert any("use_tucker" in sentence for sentence in one.left)


def test_fluxgym(tmp_path) -> None:
    (tmp_path / "dataset.toml").write_text(KOHYA_DATASET, encoding="utf-8")
    (tmp_path / "train.sh").write_text(FLUXGYM, encoding="utf-8")
    one = imported(tmp_path / "train.sh")
    got = one.settings
    assert (one.program, one.name) == ("fluxgym", "dog")
    assert (got.optimization.num_train_epochs, got.optimization.optimizer) == (16, "torch-adafactor")
    assert got.optimization.learning_rate == 8e-4 and got.adapter.lora_rank == 4
    assert got.datasets[0].instance_data_dir == "/data/cat"
    assert any("train_blocks=single" in sentence for sentence in one.left)
    assert any("split_mode" in sentence for sentence in one.left)


def test_fluxgym_on_windows(tmp_path) -> None:
    text = FLUXGYM.replace("\\\n", "^\n").replace("/gym/models/unet/", "C:\\gym\\models\\unet\\")
    (tmp_path / "train.bat").write_text(text, encoding="utf-8")
    one = imported(tmp_path / "train.bat")
    assert one.settings.model.pretrained_model_name_or_path == "C:/gym/models/unet/flux1-dev.sft"
    assert any("dataset_config" in sentence for sentence in one.left)


def test_ai_toolkit(tmp_path) -> None:
    (tmp_path / "config.yaml").write_text(AI_TOOLKIT, encoding="utf-8")
    one = imported(tmp_path / "config.yaml")
    got = one.settings
    assert (one.program, one.name) == ("ai-toolkit", "my_first_flux_lora_v1")
    assert [two.resolution for two in got.datasets] == [512, 768, 1024]
    assert got.trigger == "p3r5on" and got.datasets[0].prepend_instance_prompt
    assert (got.adapter.lora_rank, got.adapter.flux_lora_target) == (16, "ai-toolkit")
    assert (got.optimization.max_train_steps, got.optimization.gradient_accumulation_steps) == (2000, 2)
    assert got.optimization.use_ema and got.optimization.ema_decay == 0.99
    assert got.memory.base_model_precision == "fp8-quanto"
    assert [prompt.prompt for prompt in got.prompts] == ["p3r5on holding a sign", "a cup"]
    assert got.sampling.validation_resolution == "1024x768" and got.saving.checkpoints_total_limit == 4
    said = "\n".join(one.left)
    assert "flip_x" in said and "bypass_guidance_embedding" in said and "low_vram" in said
    assert "training_folder" not in said and "walk_seed" not in said


def test_onetrainer(tmp_path) -> None:
    (tmp_path / "concepts.json").write_text(json.dumps(CONCEPTS), encoding="utf-8")
    (tmp_path / "cat.txt").write_text("sks cat\n", encoding="utf-8")
    (tmp_path / "preset.json").write_text(json.dumps(ONETRAINER), encoding="utf-8")
    one = imported(tmp_path / "preset.json")
    got, learning = one.settings, one.settings.optimization
    assert (one.program, one.name) == ("OneTrainer", "cat")
    assert (learning.num_train_epochs, learning.train_batch_size, learning.optimizer) == (
        100,
        4,
        "torch-adamw",
    )
    assert (learning.lr_scheduler, learning.lr_warmup_steps) == ("constant_with_warmup", 200)
    assert (got.memory.base_model_precision, got.memory.text_encoder_2_precision) == ("nf4-bnb", "nf4-bnb")
    (cat,) = got.datasets
    assert (cat.repeats, cat.instance_prompt, cat.caption_strategy) == (2, "sks cat", "instanceprompt")
    assert got.library[0].prompt == "a sks cat" and got.saving.checkpoint_step_interval == 100
    said = "\n".join(one.left)
    assert "masked_training" in said and "custom_conditioning_image" in said and "concepts[0].image" in said


def test_another_model_of_onetrainer_is_refused(tmp_path) -> None:
    (tmp_path / "a.json").write_text(
        json.dumps({**ONETRAINER, "model_type": "STABLE_DIFFUSION_XL_10_BASE"}), "utf-8"
    )
    with pytest.raises(ConfigFileBroken, match="only FLUX.1"):
        imported(tmp_path / "a.json")


def test_simpletuners_own_folder(write) -> None:
    folder = write(config={"tracker_project_name": "x"})
    for path in (folder, folder / "config.json"):
        one = imported(path)
        assert one.program == "SimpleTuner" and one.settings.optimization.max_train_steps == 10
        assert any("tracker_project_name" in sentence for sentence in one.left)


def test_what_does_not_work_here_is_left_out_and_said(tmp_path) -> None:
    text = KOHYA.replace("blocks_to_swap = 18", "blocks_to_swap = 99").replace("AdamW8bit", "CAME")
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    one = imported(tmp_path / "config.toml")
    assert one.settings.memory.musubi_blocks_to_swap == 0
    assert one.settings.optimization.optimizer == "adamw_bf16"
    said = "\n".join(one.left)
    assert "musubi_blocks_to_swap" in said and "'CAME' is not known" in said and "dataset.toml" in said


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "words"),
        ("a.json", "{}"),
        ("a.yaml", "a: ["),
        ("a.toml", "= 1"),
        ("a.json", "[1]"),
        ("a.yaml", ""),
    ],
)
def test_what_is_no_configuration(tmp_path, name, text) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigFileBroken):
        imported(tmp_path / name)
    with pytest.raises(ConfigFileBroken):
        imported(tmp_path / "nothing.toml")


@pytest.mark.parametrize("program", NAMES)
def test_what_was_read_can_be_written_and_read_again(program, tmp_path, write) -> None:
    texts = {
        "kohya sd-scripts": ("a.toml", KOHYA),
        "fluxgym": ("train.sh", FLUXGYM),
        "ai-toolkit": ("a.yaml", AI_TOOLKIT),
        "OneTrainer": ("a.json", json.dumps(ONETRAINER)),
    }
    if program == "SimpleTuner":
        path = write()
    else:
        path = tmp_path / texts[program][0]
        path.write_text(texts[program][1], encoding="utf-8")
    one = imported(path)
    assert one.program == program
    save_all(one.settings, tmp_path / "out")
    assert load_all(tmp_path / "out").settings == one.settings

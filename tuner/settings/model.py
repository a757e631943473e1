"""Which model is trained, where its parts lie, and in which numbers it computes."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.flux import attention, catalog
from tuner.settings.fields import setting


@dataclass(frozen=True)
class Model:
    model_type: str = setting(
        "lora",
        "Kind of training",
        "'lora' trains a small add-on; 'full' would train the whole model.",
        choices=("lora", "full"),
        built=("lora",),
        why="a full training of FLUX.1 takes more than 100 GB and gives 24 GB a checkpoint",
        required=True,
    )
    model_family: str = setting(
        "flux",
        "Model family",
        "The architecture of the model; FLUX.1 is 'flux'.",
        choices=("flux",),
        required=True,
    )
    model_flavour: str | None = setting(
        None,
        "Flavour",
        "Which FLUX.1 it is; without a flavour and without a model, krea is taken.",
        level="basic",
        choices=catalog.names(),
    )
    pretrained_model_name_or_path: str | None = setting(
        None,
        "Model",
        "A folder with the model, its name on Hugging Face, or a .safetensors file with its transformer; "
        "empty means the flavour's own.",
        level="basic",
    )
    pretrained_vae_model_name_or_path: str | None = setting(
        None,
        "VAE",
        "A folder or Hugging Face name to take the VAE from; empty means from the model.",
        level="expert",
    )
    pretrained_transformer_model_name_or_path: str | None = setting(
        None,
        "Transformer",
        "A folder, a Hugging Face name or a .safetensors file to take the transformer from; empty means from "
        "the model.",
    )
    pretrained_transformer_subfolder: str = setting(
        "transformer",
        "Transformer subfolder",
        "Where the transformer's weights lie inside that place; 'none' means not in a subfolder.",
        level="expert",
    )
    revision: str | None = setting(
        None, "Revision", "A branch, tag or commit of the model on Hugging Face.", level="expert"
    )
    variant: str | None = setting(
        None, "Variant", "A suffix of the weight files, for instance fp16.", level="expert"
    )
    mixed_precision: str = setting(
        "bf16",
        "Compute precision",
        "'bf16' halves the memory on cards that have it; 'no' computes in float32.",
        choices=("no", "fp16", "bf16", "fp8"),
        built=("no", "bf16"),
        why={
            "fp16": "numbers inside FLUX.1 grow larger than fp16 can hold",
            "fp8": "PyTorch's fp8 products have no backward pass ('fp8-quanto' stores the base in fp8)",
        },
    )
    vae_dtype: str = setting(
        "bf16",
        "VAE precision",
        "Number format in which pictures are encoded; 'default' is bf16.",
        level="expert",
        choices=("default", "fp32", "fp16", "bf16"),
        built=("default", "fp32", "bf16"),
        why="numbers inside FLUX.1's VAE grow larger than fp16 can hold",
    )
    tokenizer_max_length: int | None = setting(
        None,
        "Longest caption (tokens)",
        "Captions are padded or cut to this many T5 tokens; empty means 512 (schnell 256).",
        level="expert",
        minimum=1,
        maximum=512,
    )
    fuse_qkv_projections: bool = setting(
        False,
        "Fuse QKV",
        "Computes query, key and value in one go.",
        level="expert",
        aliases=("fused_qkv_projections",),
        moot="query, key and value are computed one by one, with the same result",
    )
    attention_mechanism: str = setting(
        "diffusers",
        "Attention kernel",
        "The program that computes attention; with 'diffusers' PyTorch chooses the quickest of its own.",
        level="expert",
        choices=(*attention.BACKENDS, *attention.REFUSED),
        built=tuple(attention.BACKENDS),
        why=attention.REFUSED,
    )

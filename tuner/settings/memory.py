"""What keeps the run inside the card's and the computer's memory."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.settings.fields import Json, setting

PRECISIONS = (
    "no_change",
    "int8-quanto",
    "int4-quanto",
    "int2-quanto",
    "fp8-quanto",
    "fp8uz-quanto",
    "nf4-bnb",
    "int4-torchao",
    "int8-torchao",
    "int8dq-torchao",
    "int8dq-int4-torchao",
    "fp8-torchao",
    "fp8wo-torchao",
    "fp8-int4-torchao",
    "fp8-native",
    "fp8-transformerengine",
    *(f"{name}-sdnq" for name in ("int8", "uint8", "int16", "uint16", "fp16", "fp8", "int6", "int5")),
    *(f"{name}-sdnq" for name in ("uint5", "uint4", "uint3", "uint2")),
)


@dataclass(frozen=True)
class Memory:
    base_model_precision: str = setting(
        "no_change",
        "Precision of the base model",
        "Stores the frozen model in fewer bits, so that it fits on a smaller card.",
        level="basic",
        choices=PRECISIONS,
        built=("no_change",),
    )
    text_encoder_1_precision: str = setting(
        "no_change",
        "Precision of CLIP-L",
        "Stores the first text encoder in fewer bits.",
        level="expert",
        choices=PRECISIONS,
        built=("no_change",),
    )
    text_encoder_2_precision: str = setting(
        "no_change",
        "Precision of T5-XXL",
        "Stores the second, large text encoder in fewer bits.",
        choices=PRECISIONS,
        built=("no_change",),
    )
    # The next two say how a base is quantized; with no_change, all there is today, they have nothing to do.
    base_model_default_dtype: str = setting(
        "bf16",
        "Precision of the rest",
        "Number format of those parts of a quantized model that are not quantized.",
        level="expert",
        choices=("bf16", "fp32"),
    )
    quantize_via: str = setting(
        "accelerator",
        "Quantize on",
        "'cpu' spares the card's memory while the model is quantized at the start.",
        level="expert",
        choices=("cpu", "accelerator", "pipeline"),
    )
    quantize_activations: bool = setting(
        False,
        "Quantize activations",
        "Also stores intermediate results in fewer bits.",
        level="expert",
        built=(False,),
    )
    quantization_config: Json | None = setting(
        None, "Quantization details", "A table of options for the quantizer.", level="expert", built=(None,)
    )
    offload_during_startup: bool = setting(
        False,
        "Offload at the start",
        "Takes each model off the card before the next one is needed.",
        moot="each model is freed before the next one is loaded",
    )
    gradient_checkpointing: bool = setting(
        True, "Gradient checkpointing", "Saves much memory and costs about a third more time a step."
    )
    gradient_checkpointing_interval: int | None = setting(
        None,
        "Checkpoint every N blocks",
        "Checkpoints only some of the blocks: quicker, with more memory.",
        level="expert",
        minimum=1,
        built=(None, 1),
    )
    gradient_checkpointing_backend: str = setting(
        "torch",
        "Checkpointing program",
        "How gradient checkpointing is done.",
        level="expert",
        choices=("torch", "torch-ffn", "unsloth", "unsloth-ffn"),
        built=("torch",),
    )
    vae_enable_tiling: bool = setting(
        False, "VAE tiling", "Encodes and decodes large pictures in tiles, which needs less memory."
    )
    vae_enable_slicing: bool = setting(
        False, "VAE slicing", "Encodes and decodes one picture of a batch at a time, which needs less memory."
    )
    musubi_blocks_to_swap: int = setting(
        0,
        "Blocks to swap",
        "Keeps this many blocks of the transformer in the computer's memory.",
        minimum=0,
        maximum=56,
        built=(0,),
    )
    enable_group_offload: bool = setting(
        False,
        "Group offload",
        "Moves groups of blocks to and fro between card and memory.",
        level="expert",
        built=(False,),
    )
    group_offload_type: str = setting(
        "block_level",
        "Group offload: unit",
        "What is moved at a time.",
        level="expert",
        choices=("block_level", "leaf_level"),
        built=("block_level",),
    )
    group_offload_blocks_per_group: int = setting(
        1,
        "Group offload: blocks",
        "How many blocks are moved at a time.",
        level="expert",
        minimum=1,
        built=(1,),
    )
    group_offload_use_stream: bool = setting(
        False,
        "Group offload: stream",
        "Moves the next group while one computes.",
        level="expert",
        built=(False,),
    )
    group_offload_to_disk_path: str | None = setting(
        None,
        "Group offload: disk",
        "A folder for the groups that are not in use.",
        level="expert",
        built=(None,),
    )

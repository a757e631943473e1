"""What keeps the run inside the card's and the computer's memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tuner.quantization import catalog
from tuner.settings.fields import Json, Level, setting

ONE_BY_ONE = "streamed blocks are copied one by one, each while the one before it is computed"


def _precision(label: str, help: str, level: Level) -> Any:  # noqa: A002 - the word of `setting`
    """All of SimpleTuner's precisions stay to be chosen from; those that do not work say why."""
    refused = [row for row in catalog.PRECISIONS if row.why]
    return setting(
        "no_change",
        label,
        help,
        level=level,
        choices=catalog.names(),
        built=catalog.working(),
        why={row.name: row.why for row in refused},
        instead={row.name: row.instead for row in refused},
    )


@dataclass(frozen=True)
class Memory:
    base_model_precision: str = _precision(
        "Precision of the base model",
        "Stores the frozen model in fewer bits, so that it fits on a smaller card.",
        "basic",
    )
    text_encoder_1_precision: str = _precision(
        "Precision of CLIP-L", "Stores the first text encoder in fewer bits.", "expert"
    )
    text_encoder_2_precision: str = _precision(
        "Precision of T5-XXL", "Stores the second, large text encoder in fewer bits.", "advanced"
    )
    base_model_default_dtype: str = setting(
        "bf16",
        "Precision of the rest",
        "Number format of those parts of a quantized model that are not quantized; float32 in any case where "
        "'mixed_precision' is 'no'.",
        level="expert",
        choices=("bf16", "fp32"),
    )
    quantize_via: str = setting(
        "accelerator",
        "Quantize on",
        "Where each layer is quantized as it is read: on the card, or with 'cpu' before it goes there.",
        level="expert",
        choices=("cpu", "accelerator", "pipeline"),
    )
    quantize_activations: bool = setting(
        False,
        "Quantize activations",
        "Also stores intermediate results in fewer bits.",
        level="expert",
        built=(False,),
        why="the adapter learns from them, and their gradients would be lost",
    )
    quantization_config: Json | None = setting(
        None,
        "Quantization details",
        "A table of options for the quantizer.",
        level="expert",
        built=(None,),
        why="'base_model_precision' stands for one fixed way of quantizing, so that a run can be repeated",
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
        "Checkpoints only every Nth block: 2 is half of them, quicker and with more memory.",
        level="expert",
        minimum=1,
    )
    gradient_checkpointing_backend: str = setting(
        "torch",
        "Checkpointing program",
        "'unsloth' keeps what a block is computed from in the computer's memory meanwhile.",
        level="expert",
        choices=("torch", "torch-ffn", "unsloth", "unsloth-ffn"),
        built=("torch", "unsloth"),
        why="the single blocks of FLUX compute attention and feed-forward in one layer",
    )
    vae_enable_tiling: bool = setting(
        False, "VAE tiling", "Encodes and decodes pictures in tiles of 512 px, which needs less memory."
    )
    vae_enable_slicing: bool = setting(
        False, "VAE slicing", "Encodes and decodes one picture of a batch at a time, which needs less memory."
    )
    musubi_blocks_to_swap: int = setting(
        0,
        "Blocks to swap",
        "Keeps this many blocks of the transformer in the computer's memory and copies each to the card just "
        "before its turn; 0: as 'block_streaming' says.",
        minimum=0,
        maximum=57,
    )
    enable_group_offload: bool = setting(
        False,
        "Group offload",
        "Keeps all blocks in the computer's memory, as 'musubi_blocks_to_swap' does with some of them.",
        level="expert",
    )
    group_offload_type: str = setting(
        "block_level",
        "Group offload: unit",
        "What is moved at a time.",
        level="expert",
        choices=("block_level", "leaf_level"),
        moot=ONE_BY_ONE,
    )
    group_offload_blocks_per_group: int = setting(
        1,
        "Group offload: blocks",
        "How many blocks are moved at a time.",
        level="expert",
        minimum=1,
        moot=ONE_BY_ONE,
    )
    group_offload_use_stream: bool = setting(
        False,
        "Group offload: stream",
        "Moves the next group while one computes.",
        level="expert",
        moot=ONE_BY_ONE,
    )
    group_offload_to_disk_path: str | None = setting(
        None,
        "Group offload: disk",
        "A folder for the groups that are not in use.",
        level="expert",
        moot="the blocks that are not in use wait in the computer's memory",
    )
    block_streaming: str = setting(
        "auto",
        "Block streaming",
        "Whether blocks may wait in the computer's memory: with 'auto' as few as the card's free memory "
        "makes necessary. Changes no result.",
        choices=("auto", "never"),
    )
    modulation_eviction: str = setting(
        "auto",
        "Modulation off the card",
        "Computes what the modulation layers, a quarter of the model, give for many steps ahead and keeps "
        "them off the card, where they need not be quantized; 'auto': where the card is too small for all.",
        choices=("auto", "always", "never"),
    )
    checkpointing_fill: str = setting(
        "auto",
        "Fill the card",
        "Lets as many blocks go without gradient checkpointing as the card's free memory allows, which is "
        "quicker and changes no result.",
        choices=("auto", "never"),
    )
    text_encoder_streaming: str = setting(
        "auto",
        "T5-XXL layer by layer",
        "Reads the large text encoder one layer at a time, for many captions at once; 'auto': where the card "
        "is too small for it. Changes no result.",
        choices=("auto", "always", "never"),
    )

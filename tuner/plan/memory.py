"""What a run will need of the card and of the computer, from sizes alone: an honest estimate, no measurement.

With gradient checkpointing a training step takes: weights + adapter with its gradients and optimizer states +
the inputs of all blocks + one block that is computed again + what CUDA itself takes. What the levers keep off
the card is taken off, or added to the computer's memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from tuner.adapters.shape import Linear
from tuner.dataset.index import DatasetIndex
from tuner.errors import ModelMissing
from tuner.flux import single_file
from tuner.flux.targets import UNQUANTIZED, is_modulation
from tuner.machine import GB, Reading
from tuner.optimizers import catalog as optimizers
from tuner.plan import adapter, sources
from tuner.plan.levers import Levers, asked
from tuner.quantization.catalog import precision
from tuner.settings.run import RunSettings

TOKEN_PX = 16
"""One image token stands for 16 x 16 pixels: VAE factor 8, patch 2."""
CUDA_GB = 0.8
"""Context, dequantization buffers and the allocator's slack."""
PROCESS_GB, PROCESS_WITH_CUDA_GB = 0.6, 2.5
"""Python with torch, diffusers and transformers, without and with the CUDA libraries."""
BLOCK_TENSORS = 32
"""Intermediate results that the backward pass of one block keeps, in units of tokens x width."""
VAE_TILE_PX = 512
"""The edge of a tile where pictures are encoded in tiles; the VAE's own, 1024, spares nothing at 1024 px."""
VAE_TENSORS, VAE_CHANNELS = 6, 128
"""The VAE's first level at full size, in units of pixels x `VAE_CHANNELS`."""
TEXT_ENCODERS_GB = {"text_encoder": 0.25, "text_encoder_2": 9.55}
VAE_GB = 0.17
"""CLIP-L and T5-XXL, and FLUX.1's VAE, at two bytes a parameter."""
T5_LAYERS = 24
"""T5-XXL read layer by layer takes that share of itself at a time; its table of words is smaller."""
STREAMING_SLOTS = 2
"""As many places on the card do all streamed blocks share."""
ADAPTER_BYTES = 4
"""Adapters are trained in float32."""


class Need(NamedTuple):
    """The most that one phase takes at a time, in GB (1e9 bytes)."""

    vram_gb: float
    ram_gb: float


@dataclass(frozen=True)
class Shape:
    """The sizes of a FluxTransformer2DModel, named as in its config.json; the defaults are FLUX.1-dev's."""

    num_layers: int = 19
    num_single_layers: int = 38
    num_attention_heads: int = 24
    attention_head_dim: int = 128
    in_channels: int = 64
    joint_attention_dim: int = 4096
    pooled_projection_dim: int = 768
    guidance_embeds: bool = True

    @property
    def width(self) -> int:
        return self.num_attention_heads * self.attention_head_dim

    @property
    def num_blocks(self) -> int:
        return self.num_layers + self.num_single_layers

    @property
    def blocks(self) -> tuple[str, ...]:
        """Their paths in the model, in the order of a forward pass."""
        double = (f"transformer_blocks.{number}" for number in range(self.num_layers))
        single = (f"single_transformer_blocks.{number}" for number in range(self.num_single_layers))
        return (*double, *single)

    def linears(self) -> Iterator[Linear]:
        """Every linear layer with its path in the model."""
        width = self.width
        yield Linear("x_embedder", self.in_channels, width)
        yield Linear("context_embedder", self.joint_attention_dim, width)
        inputs = {"timestep": 256, "text": self.pooled_projection_dim}
        if self.guidance_embeds:
            inputs["guidance"] = 256
        for name, num_in in inputs.items():
            yield Linear(f"time_text_embed.{name}_embedder.linear_1", num_in, width)
            yield Linear(f"time_text_embed.{name}_embedder.linear_2", width, width)
        yield Linear("norm_out.linear", width, 2 * width)
        yield Linear("proj_out", width, self.in_channels)
        for number in range(self.num_layers):
            for path, num_in, num_out in _DOUBLE:
                yield Linear(f"transformer_blocks.{number}.{path}", num_in * width, num_out * width)
        for number in range(self.num_single_layers):
            for path, num_in, num_out in _SINGLE:
                yield Linear(f"single_transformer_blocks.{number}.{path}", num_in * width, num_out * width)

    @property
    def num_parameters(self) -> int:
        linears = sum(linear.num_in * linear.num_out + linear.num_out for linear in self.linears())
        return linears + self.num_norm_parameters

    @property
    def num_norm_parameters(self) -> int:
        return (4 * self.num_layers + 2 * self.num_single_layers) * self.attention_head_dim


_DOUBLE: tuple[Linear, ...] = (
    *(Linear(f"attn.{name}", 1, 1) for name in ("to_q", "to_k", "to_v", "to_out.0")),
    *(Linear(f"attn.{name}", 1, 1) for name in ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")),
    *(Linear(f"{name}.linear", 1, 6) for name in ("norm1", "norm1_context")),
    *(Linear(f"{name}.net.0.proj", 1, 4) for name in ("ff", "ff_context")),
    *(Linear(f"{name}.net.2", 4, 1) for name in ("ff", "ff_context")),
)
_SINGLE: tuple[Linear, ...] = (
    *(Linear(f"attn.{name}", 1, 1) for name in ("to_q", "to_k", "to_v")),
    Linear("norm.linear", 1, 3),
    Linear("proj_mlp", 1, 4),
    Linear("proj_out", 5, 1),
)
"""The linear layers of a block, in multiples of the width."""


def shape(settings: RunSettings) -> Shape:
    """Read from the transformer's files where they are on this computer, else FLUX.1's own."""
    place, subfolder = sources.transformer_place(settings)
    folder = Path(place)
    own = replace(Shape(), guidance_embeds=settings.flavour.guidance_embeds)
    if single_file.is_single_file(place):
        given = single_file.config(single_file.pieces(folder), folder)
    elif folder.is_dir():
        given = _config(folder / (subfolder or "") / "config.json", place)
    else:
        return own
    return replace(own, **{name: given[name] for name in Shape.__dataclass_fields__ if name in given})


def _config(path: Path, place: str) -> dict[str, Any]:
    try:
        given: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelMissing(f"'{place}' is not a whole FLUX.1 model: '{path}' cannot be read.") from error
    return given


@dataclass(frozen=True)
class Weights:
    """The transformer's weights in GB: modulation, and the rest, each by block ("" is what is in none)."""

    modulation: dict[str, float]
    rest: dict[str, float]

    def of(self, block: str, evicts: bool) -> float:
        return self.rest.get(block, 0.0) + (0.0 if evicts else self.modulation.get(block, 0.0))

    def on_device(self, levers: Levers) -> float:
        """Resident blocks, and the places of those that come and go."""
        kept = sum(self.of(one, levers.evicts) for one in self.rest if one not in set(levers.streamed))
        slots = min(STREAMING_SLOTS, len(levers.streamed))
        return kept + slots * max((self.of(one, levers.evicts) for one in levers.streamed), default=0.0)

    def off_device(self, levers: Levers) -> float:
        return sum(self.of(one, levers.evicts) for one in levers.streamed)


def forecast(
    settings: RunSettings, index: DatasetIndex, machine: Reading, levers: Levers | None = None
) -> dict[str, Need]:
    """The need of each phase, by its name; without `levers` with those that the settings ask for."""
    sizes = shape(settings)
    levers = levers or asked(settings, sizes.blocks)
    dtype_bytes = 4 if settings.model.mixed_precision == "no" else 2
    held = _weights(settings, sizes, dtype_bytes)
    weights, waiting = held.on_device(levers), held.off_device(levers)
    trained = _adapter_gb(settings, sizes)
    vae = _folder_gb(sources.vae_place(settings), "vae") or VAE_GB
    buckets = [[w * h for w, h in picture.bucket] for picture in index.pictures]
    pixels = max(map(max, buckets), default=0)
    preview = max((w * h for w, h in _preview_sizes(settings, index)), default=0)
    training = _activations_gb(settings, sizes, max(map(sum, buckets), default=0), levers)
    tile = VAE_TILE_PX**2 if settings.memory.vae_enable_tiling else max(pixels, preview)
    drawing = vae + _vae_gb(min(preview, tile), dtype_bytes) if preview else 0
    encoded_at_once = 1 if settings.memory.vae_enable_slicing else settings.dataset.vae_batch_size
    on_device = {
        "text": _text_encoders_gb(settings, dtype_bytes, levers.text_by_layer),
        "latents": vae + _vae_gb(min(pixels, tile) * encoded_at_once, dtype_bytes),
        "load": weights,
        "train": weights + trained + max(training, drawing),
        "export": trained,
    }
    in_ram = {name: waiting * (name in ("load", "train")) for name in on_device}
    if machine.vram_total_gb is None:
        return {name: Need(0.0, PROCESS_GB + gb + in_ram[name]) for name, gb in on_device.items()}
    return {name: Need(CUDA_GB + gb, PROCESS_WITH_CUDA_GB + in_ram[name]) for name, gb in on_device.items()}


def _weights(settings: RunSettings, sizes: Shape, dtype_bytes: int) -> Weights:
    """What is quantized in the bytes of its precision, the rest in its own format."""
    choice = settings.memory
    per_weight = precision(choice.base_model_precision).bytes_per_weight
    rest_bytes = 4 if per_weight and choice.base_model_default_dtype == "fp32" else dtype_bytes
    found = Weights({}, {"": 0.0})
    for one in sizes.linears():
        block = ".".join(one.path.split(".")[:2]) if "transformer_blocks." in one.path else ""
        part = found.modulation if is_modulation(one.path) else found.rest
        each = rest_bytes if per_weight is None or one.path in UNQUANTIZED else per_weight
        size = (one.num_in * one.num_out * each + one.num_out * rest_bytes) / GB
        part[block] = part.get(block, 0.0) + size
    found.rest[""] += sizes.num_norm_parameters * rest_bytes / GB
    return found


def num_adapter_parameters(settings: RunSettings, sizes: Shape) -> int:
    """Those that are trained, of the adapter that the settings ask for."""
    return adapter.num_parameters(settings, sizes.linears())


def _adapter_gb(settings: RunSettings, sizes: Shape) -> float:
    """Weights, gradients and optimizer states, and the running mean where it is kept with them."""
    state = optimizers.row(settings.optimization.optimizer).state_bytes_per_fp32_parameter
    copies = 3 if settings.optimization.ema_on_card else 2
    return num_adapter_parameters(settings, sizes) * (copies * ADAPTER_BYTES + state) / GB


def _activations_gb(settings: RunSettings, sizes: Shape, pixels: int, levers: Levers) -> float:
    """A checkpointed block leaves its input, or nothing where that waits in the computer's memory, and one of
    them is in full while it is computed again; every other block is in full until the backward pass is
    through with it, so that the last ones make room for the one that is computed again. `pixels` counts a
    picture with its references.
    """
    tokens = pixels / TOKEN_PX**2 + sources.num_text_tokens(settings)
    dtype_bytes = 4 if settings.model.mixed_precision == "no" else 2
    unit = settings.optimization.train_batch_size * tokens * sizes.width * dtype_bytes / GB
    num_again = len(levers.checkpointed)
    kept = sizes.num_blocks - num_again
    at_the_end = sizes.blocks[-1] not in levers.checkpointed
    in_full = kept + bool(num_again and not (kept and at_the_end))
    return unit * ((0 if levers.inputs_wait else num_again) + in_full * BLOCK_TENSORS)


def _preview_sizes(settings: RunSettings, index: DatasetIndex) -> list[tuple[int, int]]:
    return [(one.width or 0, one.height or 0) for one in sources.previews(settings, index)]


def _vae_gb(pixels: int, dtype_bytes: int) -> float:
    return VAE_TENSORS * VAE_CHANNELS * pixels * dtype_bytes / GB


def _text_encoders_gb(settings: RunSettings, dtype_bytes: int, by_layer: bool) -> float:
    """Both at once, each in its own precision; their files have two bytes a parameter."""
    place, choice = sources.model_place(settings), settings.memory
    precisions = (choice.text_encoder_1_precision, choice.text_encoder_2_precision)
    clip, t5 = (
        (_folder_gb(place, part) or usual_gb) / 2 * (precision(name).bytes_per_weight or dtype_bytes)
        for (part, usual_gb), name in zip(TEXT_ENCODERS_GB.items(), precisions, strict=True)
    )
    return clip + (t5 / T5_LAYERS if by_layer else t5)


def _folder_gb(place: str, part: str) -> float:
    """The weight files of one part of a model folder; 0 where the model is not on this computer."""
    return sum(path.stat().st_size for path in (Path(place) / part).glob("*.safetensors")) / GB

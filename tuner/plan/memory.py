"""What a run will need of the card and of the computer: by its sizes, and by what earlier runs took here.

With gradient checkpointing a training step takes: weights + adapter with its gradients and optimizer states +
the inputs of all blocks + one block that is computed again + what CUDA itself takes. What the levers keep off
the card is taken off, or added to the computer's memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tuner.dataset.index import DatasetIndex
from tuner.flux.targets import UNQUANTIZED, is_modulation
from tuner.machine import GB, Reading
from tuner.optimizers import catalog as optimizers
from tuner.plan import adapter, peaks, sources
from tuner.plan.levers import Levers, asked
from tuner.plan.peaks import Estimate, Need, Parts
from tuner.plan.sizes import Shape, shape
from tuner.quantization.catalog import precision
from tuner.settings.run import RunSettings

TOKEN_PX = 16
"""One image token stands for 16 x 16 pixels: VAE factor 8, patch 2."""
CONTEXT_GB = 0.5
"""What CUDA takes of the card before the first tensor; torch's own counts leave it out."""
CUDA_GB = CONTEXT_GB + 0.3
"""With dequantization buffers and the allocator's slack."""
PROCESS_GB, PROCESS_WITH_CUDA_GB = 0.6, 2.5
"""Python with torch, diffusers and transformers, without and with the CUDA libraries."""
BLOCK_TENSORS = 32
"""Intermediate results that the backward pass of one block keeps, in units of tokens x width."""
VAE_TILE_PX = 512
"""The edge of a tile where pictures are encoded in tiles; the VAE's own, 1024, spares nothing at 1024 px."""
VAE_TENSORS, VAE_CHANNELS = 6, 128
"""The VAE's first level at full size, in units of pixels x `VAE_CHANNELS`."""
TEXT_ENCODERS_GB = {"text_encoder": 0.23, "text_encoder_2": 8.87}
VAE_GB = 0.16
"""CLIP-L and T5-XXL, and FLUX.1's VAE, at two bytes a parameter."""
T5_LAYERS = 24
"""T5-XXL read layer by layer takes that share of itself at a time; its table of words is smaller."""
STREAMING_SLOTS = 2
"""As many places on the card do all streamed blocks share."""
ADAPTER_BYTES = 4
"""Adapters are trained in float32."""


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
    """The need of each phase, by its name; without `levers` with those that the settings ask for. Corrected
    by what was measured here, unless `machine` is another one.
    """
    return {one.phase: peaks.corrected(one) for one in estimates(settings, index, machine, levers)}


def estimates(
    settings: RunSettings, index: DatasetIndex, machine: Reading, levers: Levers | None = None
) -> tuple[Estimate, ...]:
    """Of every phase, from sizes alone."""
    sizes = shape(settings)
    levers = levers or asked(settings, sizes.blocks)
    loads = _loads(settings, index, sizes, levers)
    waiting = _weights(settings, sizes).off_device(levers)
    every = (
        machine.gpu_name or "processor",
        f"{sizes.num_layers} + {sizes.num_single_layers} blocks of {sizes.width}",
        settings.model.mixed_precision,
    )
    found = []
    for phase, (kind, parts) in loads.items():
        in_ram = waiting * (phase in ("load", "train"))
        if machine.vram_total_gb is None:
            vram, ram = Parts(0.0, 0.0), Parts(parts.lasting_gb + in_ram, parts.passing_gb + PROCESS_GB)
        else:
            vram, ram = (
                Parts(parts.lasting_gb, parts.passing_gb + CUDA_GB),
                Parts(in_ram, PROCESS_WITH_CUDA_GB),
            )
        found.append(Estimate(phase, (*every, *kind), vram, ram))
    return tuple(found)


def _loads(
    settings: RunSettings, index: DatasetIndex, sizes: Shape, levers: Levers
) -> dict[str, tuple[tuple[str, ...], Parts]]:
    """By the names of the phases: what tells their kinds apart, and what lies on the device."""
    memory, adapters = settings.memory, settings.adapter
    weights, trained = _weights(settings, sizes).on_device(levers), _adapter_gb(settings, sizes)
    vae = _folder_gb(sources.vae_place(settings), "vae") or VAE_GB
    buckets = [[w * h for w, h in picture.bucket] for picture in index.pictures]
    preview = max((w * h for w, h in _preview_sizes(settings, index)), default=0)
    step = _activations_gb(settings, sizes, max(map(sum, buckets), default=0), levers)
    drawing = vae + _vae_gb(settings, preview, 1) if preview else 0.0
    at_once = 1 if levers.pictures_singly else settings.dataset.vae_batch_size
    encoding = _vae_gb(settings, max(map(max, buckets), default=0), at_once)
    base = (memory.base_model_precision, memory.base_model_default_dtype)
    step_kind = (
        adapters.lora_type,
        settings.optimization.optimizer,
        settings.optimization.dynamo_backend,
        settings.model.attention_mechanism,
        "inputs wait" if levers.inputs_wait else "inputs stay",
        "previews need most" if drawing > step else "steps need most",
    )
    text_kind = (memory.text_encoder_1_precision, memory.text_encoder_2_precision)
    by_layer = "by layer" if levers.text_by_layer else "whole"
    encoders = _text_encoders_gb(settings, levers.text_by_layer)
    tiled = "tiled" if memory.vae_enable_tiling else "whole"
    return {
        "text": ((*text_kind, by_layer), Parts(encoders, 0.0)),
        "latents": ((settings.model.vae_dtype, tiled), Parts(vae, encoding)),
        "load": ((*base, memory.quantize_via), Parts(weights, 0.0)),
        "train": ((*base, *step_kind), Parts(weights + trained, max(step, drawing))),
        "export": ((adapters.lora_type,), Parts(trained, 0.0)),
    }


def _weights(settings: RunSettings, sizes: Shape) -> Weights:
    """What is quantized in the bytes of its precision, the rest in its own format."""
    choice, dtype_bytes = settings.memory, _dtype_bytes(settings)
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
    unit = settings.optimization.train_batch_size * tokens * sizes.width * _dtype_bytes(settings) / GB
    num_again = len(levers.checkpointed)
    kept = sizes.num_blocks - num_again
    at_the_end = sizes.blocks[-1] not in levers.checkpointed
    in_full = kept + bool(num_again and not (kept and at_the_end))
    return unit * ((0 if levers.inputs_wait else num_again) + in_full * BLOCK_TENSORS)


def _preview_sizes(settings: RunSettings, index: DatasetIndex) -> list[tuple[int, int]]:
    return [(one.width or 0, one.height or 0) for one in sources.previews(settings, index)]


def _vae_gb(settings: RunSettings, pixels: int, num_pictures: int) -> float:
    """What the VAE's work on so many pictures of `pixels` takes, or on their tiles."""
    if settings.memory.vae_enable_tiling:
        pixels = min(pixels, VAE_TILE_PX**2)
    return VAE_TENSORS * VAE_CHANNELS * pixels * num_pictures * _dtype_bytes(settings) / GB


def _dtype_bytes(settings: RunSettings) -> int:
    return 4 if settings.model.mixed_precision == "no" else 2


def _text_encoders_gb(settings: RunSettings, by_layer: bool) -> float:
    """Both at once, each in its own precision; their files have two bytes a parameter."""
    place, choice = sources.model_place(settings), settings.memory
    dtype_bytes = _dtype_bytes(settings)
    precisions = (choice.text_encoder_1_precision, choice.text_encoder_2_precision)
    clip, t5 = (
        (_folder_gb(place, part) or usual_gb) / 2 * (precision(name).bytes_per_weight or dtype_bytes)
        for (part, usual_gb), name in zip(TEXT_ENCODERS_GB.items(), precisions, strict=True)
    )
    return clip + (t5 / T5_LAYERS if by_layer else t5)


def _folder_gb(place: str, part: str) -> float:
    """The weight files of one part of a model folder; 0 where the model is not on this computer."""
    return sum(path.stat().st_size for path in (Path(place) / part).glob("*.safetensors")) / GB

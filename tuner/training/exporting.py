"""From a checkpoint to files for other programs: the export, and what a third program can judge it by."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from tuner import machine
from tuner.errors import ModelMissing
from tuner.export.cover import cover
from tuner.export.metadata import metadata
from tuner.export.place import free_name
from tuner.export.workflow import header
from tuner.export.write import ExportReport, export, write_tensors
from tuner.files import changed, five, from_export, journal
from tuner.files.run_folder import ADAPTER_FILE, EMA_ADAPTER_FILE, RunFolder
from tuner.flux import latents as lat
from tuner.flux import loading
from tuner.plan import fitting
from tuner.settings.run import RunSettings
from tuner.training.drawing import Scene, scene
from tuner.training.hardware import find_hardware, free_memory
from tuner.training.models import transformer_source
from tuner.training.prepare import load_with_adapter

log = logging.getLogger(__name__)

_EDGE, _NUM_TEXT_TOKENS = 8, 6
"""Of the inputs for a judge: a square of latent cells, and a prompt."""


@dataclass(frozen=True)
class Finished:
    """A checkpoint's adapter: `step` is the step it was saved at, `file` its name inside the checkpoint."""

    settings: RunSettings
    folder: RunFolder
    checkpoint: Path
    step: int
    file: str = ADAPTER_FILE


def export_adapter(
    finished: Finished,
    to: Path,
    dialect: str = "comfyui",
    dtype: str = "float32",
    shown: Scene | None = None,
) -> ExportReport:
    """Writes the adapter with everything that the run tells about it, and a workflow for ComfyUI that draws
    `shown`, by default the run's first sample; raises TunerError.
    """
    if shown is None:
        to = to.with_name(free_name(to.name, to.parent))
        shown = scene(finished.settings, finished.folder, finished.step, to.name)
    about = metadata(
        finished.settings,
        finished.step,
        started_at=_started_at(finished.folder),
        documents=_documents(finished.settings),
        strength=shown.drawing.strength,
    )
    about |= {from_export.MEAN: "yes"} if finished.file == EMA_ADAPTER_FILE else {}
    picture = shown.picture or _preview(finished.folder, finished.step)
    about |= cover(picture) if picture else {}
    about |= header(shown.drawing) if dialect == "comfyui" else {}
    base = _untrained(finished.settings)
    return export(finished.checkpoint / finished.file, to, dialect, dtype, about, base)


@torch.no_grad()
def write_expected(finished: Finished, to: Path) -> Path:
    """Fixed inputs, and what the trained transformer makes of them with the adapter (`output`) and without
    (`output_base`); float32, computed in float32 where the base is not quantized.
    """
    settings = finished.settings
    hardware = replace(find_hardware(settings, lambda event: None), dtype=torch.float32)
    levers = fitting.for_pictures(changed(settings, {"model.mixed_precision": "no"}), machine.read())
    transformer, adapter = load_with_adapter(settings, hardware, levers)
    adapter.load(load_file(finished.checkpoint / finished.file))
    transformer.eval()
    inputs = {name: value.to(hardware.device) for name, value in _inputs(transformer.config).items()}
    output = transformer(**inputs, return_dict=False)[0]
    with adapter.disabled():
        output_base = transformer(**inputs, return_dict=False)[0]
    tensors = {**inputs, "output": output, "output_base": output_base}
    del transformer, adapter
    free_memory(hardware.device)
    about = {
        "global_step": str(finished.step),
        "flavour": settings.flavour.name,
        "base_model_precision": settings.memory.base_model_precision,
    }
    return write_tensors(to, {name: value.float().cpu() for name, value in tensors.items()}, about)


def _inputs(config: Any) -> dict[str, Tensor]:
    """By the names of FluxTransformer2DModel.forward: one picture of 4 x 4 tokens, half noise."""
    dice = torch.Generator().manual_seed(0)
    tokens = lat.pack(torch.randn(1, config.in_channels // 4, _EDGE, _EDGE, generator=dice))
    inputs = {
        "hidden_states": tokens,
        "encoder_hidden_states": torch.randn(1, _NUM_TEXT_TOKENS, config.joint_attention_dim, generator=dice),
        "pooled_projections": torch.randn(1, config.pooled_projection_dim, generator=dice),
        "timestep": torch.tensor([0.5]),
        "img_ids": lat.image_ids(_EDGE, _EDGE),
        "txt_ids": lat.text_ids(_NUM_TEXT_TOKENS),
    }
    return inputs | ({"guidance": torch.tensor([3.5])} if config.guidance_embeds else {})


def _untrained(settings: RunSettings) -> Callable[[str], Tensor | None]:
    """Opens the transformer's files only when the first weight is asked for."""

    @cache
    def opened() -> Callable[[str], Tensor | None]:
        try:
            return loading.parameters(transformer_source(settings))
        except ModelMissing as error:
            log.warning("The export goes without the weights of the base model: %s", error)
            return lambda name: None

    return lambda name: opened()(name)


def _documents(settings: RunSettings) -> Mapping[str, Any]:
    """The five files as JSON values."""
    return {**five.documents_of(five.texts_of(settings), {}), "config.env": dict(settings.environment)}


def _started_at(folder: RunFolder) -> float | None:
    """Seconds since 1970, by the run's journal."""
    events = journal.read(folder.events)[0] if folder.events.is_file() else []
    return events[0].time if events else None


def _preview(folder: RunFolder, step: int) -> Path | None:
    """The first picture that was drawn at this step."""
    return min(folder.samples.glob(f"step_{step}_*.png"), default=None)

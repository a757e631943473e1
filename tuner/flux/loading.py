"""Loads one part of a model at a time, from a diffusers folder or the hub: the same road for every FLUX."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
from transformers import AutoTokenizer, CLIPTextModel, T5EncoderModel
from transformers.utils.logging import disable_progress_bar

from tuner.errors import Advice, ModelMissing, TunerError
from tuner.flux.text import TextEncoders

log = logging.getLogger(__name__)
disable_progress_bar()


@dataclass(frozen=True)
class Source:
    """Where one part lies: a folder or hub name, and the subfolder in it (None for its root)."""

    place: str
    subfolder: str | None
    revision: str | None = None
    variant: str | None = None


def transformer(source: Source, dtype: torch.dtype, device: torch.device) -> FluxTransformer2DModel:
    """The frozen transformer, in evaluation mode."""
    model = _load(FluxTransformer2DModel, source, dtype=dtype)
    return model.requires_grad_(False).eval().to(device)


def vae(source: Source, dtype: torch.dtype, device: torch.device) -> AutoencoderKL:
    """The frozen VAE, in evaluation mode."""
    return _load(AutoencoderKL, source, dtype=dtype).requires_grad_(False).eval().to(device)


def text_encoders(
    place: str, revision: str | None, dtype: torch.dtype, device: torch.device, num_tokens: int
) -> TextEncoders:
    """CLIP-L and T5-XXL with their tokenizers, frozen."""
    models = []
    for kind, part in ((CLIPTextModel, "text_encoder"), (T5EncoderModel, "text_encoder_2")):
        model = _load(kind, Source(place, part, revision), dtype=dtype)
        models.append(model.requires_grad_(False).eval().to(device))
    words = [_load(AutoTokenizer, Source(place, part, revision)) for part in ("tokenizer", "tokenizer_2")]
    return TextEncoders(words[0], models[0], words[1], models[1], num_tokens)


def scheduler_config(place: str, revision: str | None = None) -> dict[str, Any]:
    """The scheduler's settings, which say how previews shift their sigmas."""
    return dict(_load(FlowMatchEulerDiscreteScheduler, Source(place, "scheduler", revision)).config)


def _load(kind: Any, source: Source, **options: Any) -> Any:
    folder = Path(source.place) / (source.subfolder or "")
    if Path(source.place).exists() and not folder.is_dir():
        raise ModelMissing(
            f"'{source.place}' holds no folder '{source.subfolder}', so it is not a whole FLUX.1 model.",
            Advice("Choose the folder that holds model_index.json."),
        )
    if folder.is_dir():
        _check_weights(folder)
    if source.variant and kind not in (AutoTokenizer,):
        options["variant"] = source.variant
    try:
        return kind.from_pretrained(
            source.place, subfolder=source.subfolder or "", revision=source.revision, **options
        )
    except (OSError, ValueError) as error:
        if Path(source.place).exists():
            raise ModelMissing(
                f"The model part '{source.subfolder}' in '{source.place}' cannot be read "
                f"({_first_line(error)}).",
                Advice("Copy or download that folder again."),
            ) from error
        if type(error).__name__ == "GatedRepoError" or "gated" in str(error).lower():
            raise
        raise ModelMissing(
            f"The model '{source.place}' was not found on this computer and could not be fetched.",
            Advice(
                "Give a folder that holds it, or check its name, the network and the login (`hf auth login`)."
            ),
        ) from error


def _check_weights(folder: Path) -> None:
    """A cut or empty weight file is named before a library stumbles over it."""
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            head = file.read(8)
            length = int.from_bytes(head, "little")
            if len(head) < 8 or length > path.stat().st_size:
                raise TunerError(
                    f"The weight file '{path}' is damaged.", Advice("Copy or download it again.")
                )
            try:
                header = json.loads(file.read(length))
            except ValueError as error:
                raise TunerError(
                    f"The weight file '{path}' is damaged.", Advice("Copy or download it again.")
                ) from error
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        if 8 + length + max(ends, default=0) != path.stat().st_size:
            raise TunerError(
                f"The weight file '{path}' is not complete.", Advice("Copy or download it again.")
            )


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__

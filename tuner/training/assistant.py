"""Finds the assistant LoRA of a run and puts it over the transformer."""

from __future__ import annotations

from pathlib import Path

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import GatedRepoError
from safetensors import SafetensorError
from safetensors.torch import load_file

from tuner.adapters import assistant
from tuner.errors import Advice, ModelMissing
from tuner.files.run_folder import ADAPTER_FILE
from tuner.plan import sources
from tuner.settings.run import RunSettings
from tuner.training.hardware import Hardware


def attach_assistant(settings: RunSettings, transformer: torch.nn.Module, hardware: Hardware) -> None:
    """Nothing where the settings and the flavour name none. The adapter must be attached already."""
    place = sources.assistant_place(settings)
    if place is None:
        return
    choice = settings.adapter
    strengths = assistant.Strengths(choice.assistant_lora_strength, choice.assistant_lora_inference_strength)
    assistant.attach(transformer, _read(place), strengths, hardware.device, hardware.dtype)


def _read(place: str) -> dict[str, torch.Tensor]:
    """Of a file, a folder that holds one under its usual name, or a name on Hugging Face."""
    path = Path(place)
    try:
        if path.is_dir():
            path = path / ADAPTER_FILE
        elif not path.exists():
            path = Path(hf_hub_download(place, ADAPTER_FILE))
        return load_file(path)
    except GatedRepoError:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelMissing(
            f"The assistant LoRA '{place}' was not found here and could not be fetched, or is damaged.",
            Advice("Give the path of its file in 'assistant_lora_path'."),
            Advice("Train without an assistant.", {"adapter.disable_assistant_lora": True}),
        ) from error

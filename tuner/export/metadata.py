"""The header of an exported file: what it is, how to call it, how it was made, in words that tools read.

Whatever the user wrote goes in only where it holds nothing private, and whole or not at all: half a trigger
word would not work. ComfyUI and the model sites read `modelspec.*`, forge and kohya's tools `ss_*`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePath, PureWindowsPath
from types import MappingProxyType
from typing import Any

import tuner
from tuner.export.private import is_private
from tuner.export.recipe import hub_name, recipe
from tuner.settings.run import RunSettings
from tuner.settings.saving import Saving

FLUX_CODE = "https://github.com/black-forest-labs/flux"  # by this, forge knows a LoRA for FLUX
LONGEST = 2000  # characters of a text of the user, so that the header stays far below 1 MiB
_NO_FILES: Mapping[str, Any] = MappingProxyType({})


def metadata(
    settings: RunSettings,
    step: int,
    started_at: float | None = None,
    finished_at: float | None = None,
    documents: Mapping[str, Any] = _NO_FILES,
    strength: float = 1.0,
) -> dict[str, str]:
    """Text by key for an adapter after `step` steps; the times are seconds since 1970, the end is now by
    default. `documents` are the five files, as JSON values by name; `strength` is the one to use it at.

    The writer, which knows the tensors, adds rank, alpha and the hash.
    """
    finished = time.time() if finished_at is None else finished_at
    values = {
        "format": "pt",
        **_modelspec(settings, step, finished, strength),
        **_kohya(settings, step, started_at, finished),
        "global_step": str(step),
        "fluxtuner.strength": str(round(strength, 2)),
        "fluxtuner.version": tuner.__version__,
        "fluxtuner.flavour": settings.flavour.name,
        "fluxtuner.base_model_precision": settings.memory.base_model_precision,
        "fluxtuner.recipe": recipe(documents) if documents else "",
    }
    return {key: value for key, value in values.items() if value}


def _modelspec(settings: RunSettings, step: int, finished: float, strength: float) -> dict[str, str]:
    flavour, trigger = settings.flavour, _trigger(settings)
    call = f" Call it with '{trigger}' in the prompt." if trigger else ""
    precision = settings.memory.base_model_precision
    same = (
        ""
        if precision == "no_change"
        else f" Trained on {precision}: use that precision for the base model too."
    )
    kind = "LyCORIS" if _is_lycoris(settings) else "LoRA"
    made = f"A {kind} for {flavour.title}, trained for {step} steps with FluxTuner {tuner.__version__}."
    edge = _edge_px(settings)
    return {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"{flavour.architecture}/lora",
        "modelspec.implementation": FLUX_CODE,
        "modelspec.title": _title(settings),
        "modelspec.description": made + call,
        "modelspec.comment": _public(settings.saving.modelspec_comment or ""),
        "modelspec.date": datetime.fromtimestamp(finished, UTC).isoformat(timespec="seconds"),
        "modelspec.resolution": f"{edge}x{edge}",
        "modelspec.trigger_phrase": trigger,
        "modelspec.usage_hint": f"Strength {round(strength, 2)}.{call}{same}".strip(),
        "modelspec.tags": ", ".join(filter(None, ("flux", kind.lower(), trigger.replace(",", " ")))),
        "trained_words": json.dumps([trigger], ensure_ascii=False) if trigger else "",
    }


def _kohya(settings: RunSettings, step: int, started_at: float | None, finished: float) -> dict[str, str]:
    how, data = settings.optimization, settings.objective
    trigger, edge = _trigger(settings), _edge_px(settings)
    values: dict[str, object] = {
        "ss_output_name": _title(settings),
        **_network(settings),
        "ss_network_dropout": settings.adapter.lora_dropout,
        "ss_base_model_version": "flux1",
        "ss_sd_model_name": _model_name(settings),
        "ss_v2": False,
        "ss_steps": step,
        "ss_max_train_steps": how.max_train_steps,
        "ss_num_epochs": how.num_train_epochs,
        "ss_learning_rate": how.learning_rate,
        "ss_unet_lr": how.learning_rate,
        "ss_lr_scheduler": how.lr_scheduler,
        "ss_lr_warmup_steps": how.lr_warmup_steps,
        "ss_optimizer": how.optimizer,
        "ss_max_grad_norm": how.max_grad_norm,
        "ss_batch_size_per_device": how.train_batch_size,
        "ss_gradient_accumulation_steps": how.gradient_accumulation_steps,
        "ss_gradient_checkpointing": settings.memory.gradient_checkpointing,
        "ss_seed": how.seed,
        "ss_mixed_precision": settings.model.mixed_precision,
        "ss_resolution": f"({edge}, {edge})",
        "ss_caption_dropout_rate": data.caption_dropout_probability,
        "ss_tag_frequency": _tags(trigger),
        "ss_timestep_sampling": _timestep_sampling(settings),
        "ss_discrete_flow_shift": data.flow_schedule_shift,
        "ss_guidance_scale": data.flux_guidance_value,
        "ss_model_prediction_type": "raw",
        "ss_weighting_scheme": "none",
        "ss_training_started_at": started_at,
        "ss_training_finished_at": finished,
    }
    return {key: str(value) for key, value in values.items() if value is not None}


def _network(settings: RunSettings) -> dict[str, str]:
    if not _is_lycoris(settings):
        target = {"target": settings.adapter.flux_lora_target}
        return {"ss_network_module": "networks.lora_flux", "ss_network_args": json.dumps(target)}
    return {
        "ss_network_module": "lycoris.kohya",
        "ss_network_args": recipe({name: value for name, value in settings.lycoris.items() if _plain(value)}),
    }


def _is_lycoris(settings: RunSettings) -> bool:
    return settings.adapter.lora_type == "lycoris"


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


def _trigger(settings: RunSettings) -> str:
    return _public(settings.trigger)


def _tags(trigger: str) -> str | None:
    """kohya's count of tags by folder; forge makes prompts of it."""
    return json.dumps({f"1_{trigger}": {trigger: 1}}, ensure_ascii=False) if trigger else None


def _title(settings: RunSettings) -> str:
    """The name that was given to the LoRA, else that of the run folder, else a plain word."""
    given = settings.saving.tracker_run_name
    named = "" if given == Saving().tracker_run_name else given
    folder = PureWindowsPath(PurePath(settings.saving.output_dir).name).name
    return _public(named) or _public(folder) or "FLUX LoRA"


def _public(text: str) -> str:
    return "" if is_private(text) or len(text) > LONGEST else text


def _model_name(settings: RunSettings) -> str | None:
    """The base model's name on Hugging Face; None for a folder or file of this computer."""
    model = settings.model
    given = model.pretrained_transformer_model_name_or_path or model.pretrained_model_name_or_path
    if given is None:
        return settings.flavour.repository
    return hub_name(given)


def _edge_px(settings: RunSettings) -> int:
    """The edge of the square that the first dataset was trained at; 1024 without datasets."""
    for one in settings.active_datasets:
        if one.resolution:
            edge: float = (one.resolution * 1e6) ** 0.5 if one.resolution_type == "area" else one.resolution
            return round(edge)
    return 1024


def _timestep_sampling(settings: RunSettings) -> str:
    """kohya's words for how noise levels are drawn."""
    objective = settings.objective
    kinds: Mapping[str, bool] = {
        "uniform": objective.flow_use_uniform_schedule,
        "beta": objective.flow_use_beta_schedule,
        "flux_shift": objective.flow_schedule_auto_shift,
        "shift": objective.flow_schedule_shift > 0,
    }
    return next((kind for kind, chosen in kinds.items() if chosen), "sigmoid")

"""config.json: every setting of the sections, by its key."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from tuner.files.codec import Decoded, bare, decode, encode, moot_notes, unused_note
from tuner.settings.run import SECTIONS, RunSettings, specs
from tuner.settings.values import shown

NAME = "config.json"

LEGACY_IGNORED = (
    "aspect_ratio_bucketing",
    "aspect_ratio_bucket_min",
    "aspect_ratio_bucket_max",
    "repeats",
    "ez_model_type",
)
NO_EFFECT_ON_FLUX = (
    "snr_gamma",
    "use_soft_min_snr",
    "offset_noise",
    "noise_offset",
    "noise_offset_probability",
    "timestep_bias_strategy",
    "disable_segmented_timestep_sampling",
    "prediction_type",
    "text_encoder_3_precision",
    "text_encoder_4_precision",
    *LEGACY_IGNORED,
)
NOT_NEEDED = (
    "write_batch_size",
    "read_batch_size",
    "image_processing_batch_size",
    "torch_num_threads",
    "metadata_update_interval",
    "compress_disk_cache",
    "override_dataset_config",
    "ignore_missing_files",
    "preserve_data_backend_cache",
    "skip_file_discovery",
    "logging_dir",
    "i_know_what_i_am_doing",
    "adam_beta1",
    "adam_beta2",
    "adam_weight_decay",
    "adam_epsilon",
    "accelerate_extra_args",
)
ENVIRONMENT = {
    "MIXED_PRECISION": "mixed_precision",
    "TRAINING_NUM_PROCESSES": "num_processes",
    "TRAINING_NUM_MACHINES": "num_machines",
    "TRAINING_DYNAMO_BACKEND": "dynamo_backend",
}


def read(document: Mapping[str, Any], environment: Mapping[str, str]) -> tuple[Decoded, list[str]]:
    """The values of the document, with those of config.env where the document has no word of its own."""
    twins = {key: environment[name] for name, key in ENVIRONMENT.items() if name in environment}
    own = {bare(key) for key, value in document.items() if value is not None}
    found = decode(filled(migrated(document), environment), specs())
    inherited = decode({k: v for k, v in twins.items() if k not in own}, specs())
    found.values = inherited.values | found.values
    found.problems += inherited.problems
    return found, _notes(found, own | set(twins), document, twins)


def migrated(document: Mapping[str, Any]) -> dict[str, Any]:
    """Older keys with the opposite meaning; no SDXL VAE, which old templates name and FLUX cannot use."""
    result = dict(document)
    for key, value in document.items():
        if bare(key) == "pretrained_vae_model_name_or_path" and "sdxl" in str(value):
            result[key] = None
        if bare(key) == "vae_cache_preprocess" and value is not None:
            del result[key]
            result["vae_cache_ondemand"] = str(value).lower() in ("false", "0")
    return result


def filled(document: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """`{env:NAME}` inside texts becomes the variable of config.env, else of the system, else nothing."""

    def variable(found: re.Match[str]) -> str:
        return environment.get(found[1], os.environ.get(found[1], ""))

    return {
        k: re.sub(r"\{env:(\w+)\}", variable, v) if isinstance(v, str) else v for k, v in document.items()
    }


def build(values: Mapping[str, Any], **others: Any) -> RunSettings:
    """Settings from values by name; `others` are the fields that are no section."""
    sections = {
        section: owner(**{f.name: values[f.name] for f in fields(owner) if f.name in values})
        for section, owner in SECTIONS.items()
    }
    return RunSettings(**sections, **others)


def flat(settings: RunSettings) -> dict[str, Any]:
    """Every value by its key; names are unique over the sections."""
    return {spec.name: getattr(getattr(settings, spec.section), spec.name) for spec in specs()}


def write(document: Mapping[str, Any], before: RunSettings, after: RunSettings) -> dict[str, Any]:
    """The document as it should stand now; keys that a file should have are added to a new one."""
    values = flat(after)
    start = document or {spec.name: values[spec.name] for spec in specs() if spec.required}
    return encode(start, specs(), flat(before), values)


def _notes(found: Decoded, own: set[str], document: Mapping[str, Any], twins: Mapping[str, str]) -> list[str]:
    notes = [
        f"{NAME}: '{spec.name}' is not given; {shown(spec.default)} is used."
        for spec in specs()
        if spec.required and not own & set(spec.keys)
    ]
    notes += moot_notes(NAME, found, specs())
    notes += [_unused(key) for key in found.unused]
    for key, value in twins.items():
        if key in own and key in found.values and str(found.values[key]) != value:
            notes.append(
                f"{NAME} says {shown(found.values[key])} for '{key}' and config.env {value}; {NAME} counts."
            )
    for key, value in document.items():
        if bare(key) == "pretrained_vae_model_name_or_path" and "sdxl" in str(value):
            notes.append(
                f"{NAME}: '{key}' names a VAE of SDXL, which FLUX cannot use; the model's own is taken."
            )
    return notes


def _unused(key: str) -> str:
    if bare(key) in NO_EFFECT_ON_FLUX:
        return f"{NAME}: '{key}' has no effect on FLUX; it stays in the file."
    if bare(key) in NOT_NEEDED:
        return f"{NAME}: '{key}' is not needed here; it stays in the file."
    return unused_note(NAME, key, specs())

"""What of a recipe is the user's own, whatever preset is chosen: pictures, trigger, prompts, model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tuner.settings.run import SIZES, RunSettings

CAPTIONS = ("instance_prompt", "caption_strategy")
MODEL = (
    "pretrained_model_name_or_path",
    "pretrained_transformer_model_name_or_path",
    "pretrained_transformer_subfolder",
    "pretrained_vae_model_name_or_path",
    "model_flavour",
    "revision",
    "variant",
)


def kept(settings: RunSettings, before: RunSettings, after: RunSettings) -> dict[str, Any]:
    """The change by which the preset `after` keeps what the user made of the preset `before`."""
    change = _pictures(settings, before, after)
    if settings.library != before.library:
        change["library"] = settings.library
    return change | _model(settings, before, after)


def _pictures(settings: RunSettings, before: RunSettings, after: RunSettings) -> dict[str, Any]:
    """Own folders come with all that is said of them, but for the size at which a preset learns from them;
    of a preset's own folder only the words count.
    """
    if _folders(settings) != _folders(before):
        unset: dict[str, Any] = dict.fromkeys(SIZES)
        return {"datasets": tuple(replace(one, **unset) for one in settings.datasets)}
    old, new = ({one.id: one for one in recipe.datasets} for recipe in (before, after))
    return {
        f"datasets.{one.id}.{name}": getattr(one, name)
        for one in settings.datasets
        for name in CAPTIONS
        if one.id in new and getattr(one, name) != getattr(old[one.id], name)
    }


def _folders(settings: RunSettings) -> list[tuple[str, str]]:
    return [(one.id, one.instance_data_dir) for one in settings.datasets]


def _model(settings: RunSettings, before: RunSettings, after: RunSettings) -> dict[str, Any]:
    """Only from one preset to another of the same model."""
    mine, old, new = ([getattr(one.model, name) for name in MODEL] for one in (settings, before, after))
    return {f"model.{name}": value for name, value in zip(MODEL, mine, strict=True)} if old == new else {}

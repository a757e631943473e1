"""One dataset of the settings in the terms of this room: plain rules for geometry and captions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tuner.dataset import geometry
from tuner.dataset.caption_rules import absolute, captions
from tuner.dataset.captions import CaptionRules
from tuner.errors import Problem, SettingsInvalid
from tuner.settings.dataset import CONDITIONING, ImageDataset
from tuner.settings.run import RunSettings


@dataclass(frozen=True)
class Rules:
    """With `prune`, buckets below one batch are left out instead of stopping the run; `companions` are the
    datasets of the masks and references.
    """

    settings: ImageDataset
    geometry: geometry.Rules
    captions: CaptionRules
    prune: bool
    companions: tuple[Rules, ...] = ()

    @property
    def folder(self) -> Path:
        return absolute(self.settings.instance_data_dir)


def rules_of(one: ImageDataset, settings: RunSettings) -> Rules:
    """Everything that one dataset asks of its pictures; raises SettingsInvalid."""
    has_captions = one.holds != CONDITIONING
    return Rules(
        one,
        _geometry_rules(one, settings),
        captions(one, settings.optimization.seed or 0) if has_captions else CaptionRules("none"),
        prune=bool(one.minimum_image_size) and not settings.dataset.disable_bucket_pruning,
        companions=tuple(rules_of(other, settings) for other in settings.companions(one)),
    )


def _geometry_rules(one: ImageDataset, settings: RunSettings) -> geometry.Rules:
    return geometry.Rules(
        resolution=one.resolution or 0,
        resolution_type=str(one.resolution_type),
        crop=one.crop,
        crop_aspect=one.crop_aspect,
        crop_aspects=_crop_aspects(one),
        crop_style=one.crop_style,
        minimum_size=one.minimum_image_size or 0,
        maximum_size=one.maximum_image_size or 0,
        downsample_size=one.target_downsample_size or 0,
        minimum_aspect=one.minimum_aspect_ratio or 0,
        maximum_aspect=one.maximum_aspect_ratio or 0,
        maximum_upscale=one.max_upscale_threshold,
        alignment=settings.dataset.aspect_bucket_alignment,
        rounding=settings.dataset.aspect_bucket_rounding,
    )


def _crop_aspects(one: ImageDataset) -> tuple[tuple[float, float], ...]:
    """(aspect, weight) of each entry, which is a number or an object with `aspect` and `weight`."""
    try:
        pairs = [
            (float(entry["aspect"]), float(entry.get("weight", 1)))
            if isinstance(entry, Mapping)
            else (float(entry), 1.0)
            for entry in one.crop_aspect_buckets or ()
        ]
        if any(aspect <= 0 or weight < 0 for aspect, weight in pairs):
            raise ValueError("not above 0")
    except (TypeError, ValueError, KeyError) as error:
        raise SettingsInvalid(_wrong_aspects(one)) from error
    return tuple(pairs)


def _wrong_aspects(one: ImageDataset) -> Problem:
    return Problem(
        f"datasets.{one.id}.crop_aspect_buckets",
        "crop_aspect_buckets",
        one.crop_aspect_buckets,
        f"Dataset '{one.id}': 'crop_aspect_buckets' must be a list of numbers above 0, such as [1.0, 0.75], "
        'or of {"aspect": 1.0, "weight": 0.5}.',
    )

"""What a flavour asks of the other settings: filled in where they say otherwise, and told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tuner.flux.catalog import Need
from tuner.settings.run import RunSettings
from tuner.settings.values import shown


def settled(settings: RunSettings) -> RunSettings:
    """The settings as a run of this flavour uses them; what the user wrote stays in the files."""
    for need, _ in _unmet(settings):
        section, name = need.path.split(".")
        settings = replace(settings, **{section: replace(getattr(settings, section), **{name: need.value})})
    return settings


def notes(settings: RunSettings) -> tuple[str, ...]:
    """A sentence about each value that `settled` fills in, and about what fits this flavour badly."""
    title, few = settings.flavour.title, settings.flavour.few_steps
    sentences = [
        f"'{need.path.split('.')[1]}' is {shown(given)}; {shown(need.value)} is used, "
        f"because {title} needs it: {need.why}."
        for need, given in _unmet(settings)
    ]
    asked = settings.sampling.validation_num_inference_steps
    if few and asked > few and not settings.sampling.validation_disable:
        sentences.append(f"Previews take {asked} steps; {title} was made for {few}.")
    return tuple(sentences)


def _unmet(settings: RunSettings) -> Iterator[tuple[Need, Any]]:
    """What the flavour needs and is given otherwise, with the given value."""
    for need in settings.flavour.needs:
        section, name = need.path.split(".")
        given = getattr(getattr(settings, section), name)
        if not need.accepts(given):
            yield need, given

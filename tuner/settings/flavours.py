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
    sampling = settings.sampling
    if sampling.validation_disable:
        return tuple(sentences)
    if few and sampling.validation_num_inference_steps > few:
        asked = sampling.validation_num_inference_steps
        sentences.append(f"Previews take {asked} steps; {title} was made for {few}.")
    if settings.flavour.takes_references and (settings.library or sampling.validation_prompt):
        sentences.append(
            f"Previews of {title} start from the dataset's references with their captions, so the prompt "
            "library and 'validation_prompt' are not used."
        )
    return tuple(sentences)


def _unmet(settings: RunSettings) -> Iterator[tuple[Need, Any]]:
    """What the flavour needs and is given otherwise, with the given value."""
    for need in settings.flavour.needs:
        section, name = need.path.split(".")
        given = getattr(getattr(settings, section), name)
        if not need.accepts(given):
            yield need, given

"""What does not go together with the flavour: reference pictures, and what is drawn from them."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.errors import Problem
from tuner.settings.rules import Rule, problem
from tuner.settings.run import RunSettings
from tuner.settings.values import nearest

REFERENCES = ("reference_strict", "reference_loose")


def _references(settings: RunSettings) -> Iterator[Problem]:
    flavour = settings.flavour
    paired = [
        one.id
        for one in settings.active_datasets
        if any(other.conditioning_type in REFERENCES for other in settings.companions(one))
    ]
    if flavour.takes_references and not paired:
        yield problem(
            "model.model_flavour",
            flavour.name,
            f"{flavour.title} learns from pairs of pictures, and no dataset has reference pictures; add one "
            "with the 'conditioning_type' reference_strict named in 'conditioning_data' of the pictures.",
            {"model.model_flavour": "dev"},
        )
    if paired and not flavour.takes_references:
        yield problem(
            "model.model_flavour",
            settings.model.model_flavour,
            f"Dataset '{paired[0]}' has reference pictures, which {flavour.title} cannot look at; "
            "choose the flavour kontext, or take them out.",
            {"model.model_flavour": "kontext"},
        )


def _previews_from(settings: RunSettings) -> Iterator[Problem]:
    given, flavour = settings.sampling.eval_dataset_id, settings.flavour
    there = [one.id for one in settings.active_datasets]
    if given is None:
        return
    if not flavour.takes_references:
        yield problem(
            "sampling.eval_dataset_id",
            given,
            "'eval_dataset_id' names the pictures that Kontext's previews start from; those of "
            f"{flavour.title} start from none; take it out.",
            {"sampling.eval_dataset_id": None},
        )
    elif given not in there:
        meant = nearest(given, there)
        yield problem(
            "sampling.eval_dataset_id",
            given,
            f"'eval_dataset_id' is '{given}', but no dataset that is switched on has that id"
            + (f" (did you mean '{meant}'?)." if meant else "."),
            {"sampling.eval_dataset_id": meant},
        )


RULES: tuple[Rule, ...] = (_references, _previews_from)

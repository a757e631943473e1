"""Settings as form fields and back, for every setting there is: the expert form is a loop over `specs`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from tuner.settings.fields import Spec
from tuner.settings.page import effect
from tuner.settings.run import RunSettings, dataset_specs, specs

Edited = Callable[[Spec, object], Any]
"""Called with a setting and what the user made of it."""

MARK = "● "
SECTIONS = {
    "model": "Model",
    "adapter": "Adapter (the LoRA itself)",
    "optimization": "Learning",
    "objective": "Objective (what is learned from noise)",
    "datasets": "Pictures: where they lie, their captions",
    "dataset": "Pictures: size, caches, for all",
    "sampling": "Sample pictures",
    "memory": "Memory",
    "saving": "Saving",
}


def section_specs(section: str, settings: RunSettings) -> tuple[Spec, ...]:
    """The settings of one section, those that most people need first; "datasets" has them once a dataset."""
    order = ("basic", "advanced", "expert")
    return tuple(
        sorted(
            (s for s in all_specs(settings) if s.section.partition(".")[0] == section),
            key=lambda s: order.index(s.level),
        )
    )


def all_specs(settings: RunSettings) -> tuple[Spec, ...]:
    """Those for all pictures, and those of each dataset, whose section is `datasets.<id>`."""
    each = (replace(s, section=f"datasets.{one.id}") for one in settings.datasets for s in dataset_specs())
    return (*specs(), *each)


def value_of(settings: RunSettings, spec: Spec) -> Any:
    """That of a dataset that is not there is the default."""
    if not spec.section.startswith("datasets."):
        return getattr(getattr(settings, spec.section), spec.name)
    owner = [one for one in settings.datasets if f"datasets.{one.id}" == spec.section]
    return getattr(owner[0], spec.name) if owner else spec.default


def found(words: str, settings: RunSettings) -> tuple[Spec, ...]:
    """The settings in whose label, key, older keys or help all of these words stand, the best match first."""
    wanted = words.lower().replace("_", " ").split()
    if not wanted:
        return ()
    hits = [(place, s) for s in all_specs(settings) if (place := _place(s, wanted)) is not None]
    return tuple(s for _, s in sorted(hits, key=lambda hit: hit[0]))


def _place(spec: Spec, wanted: Sequence[str]) -> int | None:
    """0 where label or key hold all words, 1 where they stand anywhere, None where one is missing."""
    near = " ".join([spec.label, *spec.keys]).lower().replace("_", " ")
    everything = f"{near} {spec.help.lower()}"
    if not all(word in everything for word in wanted):
        return None
    return 0 if all(word in near for word in wanted) else 1


def differing(settings: RunSettings, preset: RunSettings) -> tuple[Spec, ...]:
    """The settings whose value is not the preset's; the name and folder of the run do not count."""
    own = ("saving.output_dir", "saving.tracker_run_name")
    return tuple(s for s in specs() if s.path not in own and value_of(settings, s) != value_of(preset, s))


def field(spec: Spec, settings: RunSettings, preset: RunSettings) -> Any:
    """One setting as a component, marked where it differs from the preset; closed where one value works.

    A number that may be unset is a text: an empty number field would show, and send, 0.
    """
    value = value_of(settings, spec)
    label = spec.label if value == value_of(preset, spec) else MARK + spec.label
    fixed = spec.built is not None and len(spec.built) < 2
    help_ = f"{spec.help} ({spec.name})" + (f" {effect(spec)}" if fixed or spec.moot else "")
    common: dict[str, Any] = {
        "label": label,
        "info": help_,
        "interactive": not fixed,
        "elem_classes": "kept",
    }
    if spec.kind == "bool" and spec.default is not None:
        return gr.Checkbox(value=bool(value), **common)
    if spec.choices or spec.kind == "bool":
        return gr.Dropdown(_choices(spec, value), value=value, filterable=False, **common)
    if spec.kind in ("int", "float") and spec.default is not None:
        return gr.Number(value=value, **common)
    return gr.Textbox(value=shown(value), max_lines=6, **common)


def _choices(spec: Spec, value: object) -> list[tuple[str, Any]]:
    """The values that work, and the present one whatever it is."""
    all_ = spec.choices or (True, False)
    works = [choice for choice in all_ if spec.built is None or choice in spec.built]
    unset = [None] if spec.default is None else []
    known = [*unset, *works]
    return [(_word(choice), choice) for choice in (known if value in known else [*known, value])]


def _word(choice: object) -> str:
    if isinstance(choice, bool):
        return "yes" if choice else "no"
    return "(not set)" if choice is None else str(choice)


def shown(value: object) -> str:
    """A value as text to edit: lists and objects as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def left(field: Any) -> Callable[..., Any]:
    """The event that the user is done with a field: Enter, or going elsewhere."""
    return partial(gr.on, [field.submit, field.blur])


def listen(one: Any, spec: Spec, edited: Edited, outputs: list[Any]) -> None:
    """Report what the user does to a field, and only that: neither what the server sets, nor that a field was
    left as it was, perhaps while another tab has changed it.
    """
    last = [one.value]

    def heard(raw: object) -> Any:
        if raw == last[0]:
            return gr.skip()
        last[0] = raw
        return edited(spec, raw)

    triggers = [one.input] if isinstance(one, gr.Checkbox | gr.Dropdown) else [one.blur, one.submit]
    gr.on(
        triggers,
        heard,
        inputs=one,
        outputs=outputs,
        show_progress="hidden",
        api_visibility="private",
    )


def change(spec: Spec, raw: object, settings: RunSettings) -> Mapping[str, object]:
    """The change that `raw` makes, by dotted path; empty where it says what is there already."""
    value = value_of(settings, spec)
    now = shown(value) if isinstance(raw, str) and not isinstance(value, str) else value
    return {} if raw == now or (raw == "" and now is None) else {spec.path: raw}

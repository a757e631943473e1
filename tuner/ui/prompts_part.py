"""The sample prompts of a recipe: one a line, from a library by kind, with the trigger filled in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import gradio as gr

from tuner.settings.prompts import BY_KIND
from tuner.settings.run import TOKEN, RunSettings
from tuner.settings.sampling import SamplePrompt
from tuner.ui import recipe_words as words

OWN, PRESET = "own", "preset"


class PromptsPart(NamedTuple):
    kind: gr.Radio
    lines: gr.Textbox
    size: gr.Textbox
    seed: gr.Number


def build() -> PromptsPart:
    waiting = {"interactive": False}
    with gr.Accordion("Sample prompts", open=False):
        kind = gr.Radio(label="Prompts for", info=words.KIND_HELP, **waiting)
        lines = gr.Textbox(
            label="Prompts",
            info=words.PROMPTS_HELP,
            lines=4,
            max_lines=12,
            elem_id="prompts",
            elem_classes="kept",
            **waiting,
        )
        with gr.Row():
            size = gr.Textbox(
                label="Size of the samples", info=words.SIZE_HELP, elem_classes="kept", **waiting
            )
            seed = gr.Number(
                label="Seed of the samples", info=words.SEED_HELP, precision=0, elem_classes="kept", **waiting
            )
    return PromptsPart(kind, lines, size, seed)


def kinds(settings: RunSettings, preset: RunSettings) -> tuple[list[tuple[str, str]], str]:
    """The choices of `kind` with their names, and the one that is on."""
    sets = _sets(preset)
    on = next((name for name, prompts in sets.items() if prompts == settings.library), OWN)
    titles = {**{kind: kind for kind in BY_KIND}, PRESET: words.AS_MEANT, OWN: words.OWN_PROMPTS}
    return [(titles[name], name) for name in (*sets, *([OWN] if on == OWN else []))], on


def of_kind(preset: RunSettings, name: str) -> dict[str, Any]:
    """The change that fills in the prompts of a kind; nothing for one's own."""
    sets = _sets(preset)
    return {"library": sets[name]} if name in sets else {}


def _sets(preset: RunSettings) -> dict[str, tuple[SamplePrompt, ...]]:
    return {PRESET: preset.library, **BY_KIND}


def lines(settings: RunSettings) -> str:
    """The prompts, one a line, as they will be drawn: with the trigger in its place."""
    shown = settings.prompts if settings.trigger else settings.library
    return "\n".join(one.prompt for one in shown)


def library(text: str, settings: RunSettings) -> tuple[SamplePrompt, ...]:
    """One prompt a line; a prompt that was there keeps its name, a new one is named after its words. Where
    the trigger stands, its placeholder is kept: another trigger takes its place in all of them.
    """
    names = {_with_token(one.prompt, settings.trigger): one for one in settings.library}
    prompts = dict.fromkeys(_with_token(line.strip(), settings.trigger) for line in text.splitlines())
    kept = [prompt for prompt in prompts if prompt]
    taken = {names[prompt].name for prompt in kept if prompt in names}
    made = []
    for prompt in kept:
        one = names.get(prompt) or SamplePrompt(_new_name(prompt, taken), prompt)
        taken.add(one.name)
        made.append(one)
    return tuple(made)


def _with_token(prompt: str, trigger: str) -> str:
    return re.sub(rf"(?<!\w){re.escape(trigger)}(?!\w)", TOKEN, prompt) if trigger else prompt


def _new_name(prompt: str, taken: Iterable[str]) -> str:
    used = set(taken)
    stem = re.sub(r"[^a-z0-9]+", "-", prompt.lower().replace(TOKEN, "")).strip("-")[:40] or "prompt"
    return next(
        name for n in range(1, len(used) + 2) if (name := stem if n == 1 else f"{stem}-{n}") not in used
    )

"""The presets as cards: what each needs, whether that is here, and which one is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from tuner import presets
from tuner.errors import TunerError
from tuner.presets import Outlook, Preset
from tuner.ui import markup, wording
from tuner.ui import recipe_words as words
from tuner.ui.desk import Desk

FORGET = "forget:"


def cards(desk: Desk) -> str:
    """All presets, with what each would need here; the one for this computer's card says so. The user's own
    stand below.
    """
    best = presets.recommended(desk.computer).name
    ready = []
    for one in desk.outlooks():
        name = one.preset.name
        facts = [_need(one), wording.file_size(_file_mb(name))]
        seconds = desk.preset_seconds(one.preset)
        facts += [] if seconds is None else [f"about {wording.duration(seconds)}"]
        yours = wording.for_card(desk.computer.gpu_name) if name == best else ""
        ready.append(_card(one, facts, yours, name == desk.draft.preset))
    return _group("Presets", ready) + _own(desk)


def _group(title: str, each: Sequence[str]) -> str:
    return f'<div class="cards" role="group" aria-label="{markup.text(title)}">{"".join(each)}</div>'


def _own(desk: Desk) -> str:
    names = desk.draft.own_presets.names()
    if not names:
        return ""
    return f"<h3>{words.OWN_PRESETS}</h3>" + _group(
        words.OWN_PRESETS, [_own_card(desk, name) for name in names]
    )


def _own_card(desk: Desk, name: str) -> str:
    """One that cannot be read says why; it can only be deleted."""
    delete = markup.button(FORGET + name, "Delete", said=f"Delete {name}", ask=words.really_delete(name))
    try:
        settings = desk.draft.own_presets.settings_of(name)
    except TunerError as error:
        return f'<div class="own"><strong>{markup.text(name)}</strong>{markup.problem(error)}{delete}</div>'
    preset = Preset(name, name, "", 0, words.summary(settings), 0, 0, "forecast")
    one = presets.outlook(preset, desk.computer, settings)
    facts = [_need(one), wording.file_size(presets.file_mb(settings))]
    return f'<div class="own">{_card(one, facts, "", name == desk.draft.preset)}{delete}</div>'


def _card(outlook: Outlook, facts: Sequence[str], yours: str, chosen: bool) -> str:
    preset = outlook.preset
    mark = '<span class="mark">chosen</span>' if chosen else ""
    pressed = "true" if chosen else "false"
    state, said = wording.FITS[outlook.state]
    needs_card = f" · {outlook.levers}" if outlook.levers else ""
    return (
        f'<button type="button" class="card" data-act="{markup.text(preset.name)}" aria-pressed="{pressed}">'
        f"<strong>{markup.text(preset.title)}</strong>{mark}"
        f'<span class="marks"><span class="state {state}">{said}</span>'
        f'<span class="yours">{markup.text(yours)}</span></span>'
        f'<span class="summary">{markup.text(preset.summary)}</span>'
        f'<span class="quiet">{markup.text(" · ".join(facts) + needs_card)}</span>'
        f'<span class="quiet">{markup.text(preset.card)}</span></button>'
    )


def _need(one: Outlook) -> str:
    """`about 15.7 GB VRAM and 2.5 GB RAM (measured here on 2026-08-14)`."""
    return f"{wording.needs(one.vram_gb, one.ram_gb)} ({one.whence})"


@cache
def _file_mb(preset: str) -> float:
    return presets.file_mb(presets.settings_of(preset))


def press(desk: Desk, word: str) -> None:
    """A card was chosen, or the Delete of one of the user's own."""
    if word.startswith(FORGET):
        desk.draft.delete_preset(word.removeprefix(FORGET))
    else:
        desk.draft.choose(word)

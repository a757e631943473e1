"""How to learn: preset cards, four dials, the sentence, sample prompts, every setting, and Start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from tuner.dataset.index import Picture
from tuner.errors import TunerError
from tuner.ui import dials, expert, form, markup, preset_cards, prompts_part, rehearsing, shelf, wording
from tuner.ui import recipe_words as words
from tuner.ui.acting import Acting
from tuner.ui.desk import Desk
from tuner.ui.dials import DIALS, Recipe
from tuner.ui.expert import Expert
from tuner.ui.prompts_part import PromptsPart
from tuner.ui.sentence import sentence

FIELDS = ("name", "steps", "resolution", "rate", "rank", "prompts", "size", "seed")
"""The fields of the main path, in the order of `RecipeTab.fields`."""
PATHS = {
    "rate": "optimization.learning_rate",
    "rank": "adapter.lora_rank",
    "size": "sampling.validation_resolution",
    "seed": "sampling.validation_seed",
}


class RecipeTab(NamedTuple):
    """`seen` says which state of the recipe this browser tab shows."""

    seen: gr.Textbox
    cards: gr.HTML
    name: gr.Textbox
    dials: tuple[gr.Radio, ...]
    exact: tuple[gr.Number, ...]
    sentence: gr.HTML
    start: gr.Button
    enqueue: gr.Button
    rehearse: gr.Button
    rehearsal: gr.HTML
    known: gr.Textbox
    prompts: PromptsPart
    expert: Expert

    @property
    def fields(self) -> list[Any]:
        prompts = self.prompts
        return [self.name, *self.exact, prompts.lines, prompts.size, prompts.seed]

    @property
    def shown(self) -> list[Any]:
        """What `show` fills."""
        return [self.cards, *self.fields, self.start, self.enqueue, *self.outlook]

    @property
    def outlook(self) -> list[Any]:
        """What `outlook` fills: nothing that the user may be typing into."""
        return [self.seen, self.sentence, *self.dials, self.prompts.kind, self.expert.differs]

    @property
    def quick(self) -> list[Any]:
        """What `quick` fills, every second."""
        return [self.rehearsal, self.rehearse, self.known]

    @property
    def sections(self) -> tuple[gr.Accordion, ...]:
        """One for each of `form.SECTIONS`; closed where the whole recipe is another one."""
        return self.expert.sections


def build(desk: Desk) -> RecipeTab:
    """Nothing can be typed before the page is filled: the answer on its way would overwrite it."""
    seen = gr.Textbox(visible="hidden", label="Recipe shown")
    markup.region("keeper", script=markup.KEEP)
    cards = markup.region("presets", acts=True)
    with gr.Row(elem_id="dials"):
        turned = tuple(
            gr.Radio(
                label=one.label, info=one.info, interactive=False, min_width=220, elem_id=f"dial-{one.name}"
            )
            for one in DIALS
        )
    sentence = markup.region("sentence")
    rehearsal = markup.region("rehearsal", acts=True)
    known = gr.Textbox(visible="hidden", label="Rehearsed")
    with gr.Row(elem_id="begin"):
        name = gr.Textbox(
            label="Name of this run",
            info=words.NAME_HELP,
            min_width=220,
            scale=2,
            interactive=False,
            elem_classes="kept",
        )
        start = gr.Button(
            wording.START, variant="primary", size="lg", scale=3, elem_id="start", interactive=False
        )
        rehearse = gr.Button("Rehearse", size="lg", scale=1, min_width=140, interactive=False)
        enqueue = gr.Button("Add to queue", size="lg", scale=1, min_width=140, interactive=False)
    prompts = prompts_part.build()
    with gr.Accordion(words.EXACT_TITLE, open=False, elem_id="exact"), gr.Row():
        exact = tuple(
            gr.Number(label=label, info=info, min_width=180, interactive=False, elem_classes="kept")
            for label, info in words.EXACT
        )
    built = expert.build(desk, outlook, [seen, sentence, *turned, prompts.kind])
    return RecipeTab(
        seen, cards, name, turned, exact, sentence, start, enqueue, rehearse, rehearsal, known, prompts, built
    )


def tie(tab: RecipeTab, desk: Desk, act: Acting, opened: Any, tabs: gr.Tabs) -> None:
    """`opened` is the event that this tab is opened. What is typed is kept when the field is left, or when
    nothing was typed for a second.
    """
    whole = [*tab.shown, *tab.expert.shut]
    act.on(opened, partial(refresh, desk), tab.seen, tab.shown)
    act.word(tab.cards.click, partial(press, desk), whole)
    for dial, radio in zip(DIALS, tab.dials, strict=True):
        act.on(
            radio.input, partial(turn, desk, dial.name), radio, [*tab.exact, tab.prompts.size, *tab.outlook]
        )
    for name, field in zip(FIELDS, tab.fields, strict=True):
        act.on(form.left(field), partial(edit, desk, name), field, tab.outlook)
    act.on(
        tab.prompts.kind.input,
        partial(fill_prompts, desk),
        tab.prompts.kind,
        [tab.prompts.lines, *tab.outlook],
    )
    act.on(tab.enqueue.click, partial(enqueue, desk), tab.fields, tab.shown)
    act.slowly(tab.sentence, tab.start.click, partial(start, desk), tab.fields, [tabs, *tab.shown])
    act.slowly(tab.sentence, tab.rehearse.click, partial(rehearse, desk), tab.fields, tab.shown)
    act.word(tab.rehearsal.click, lambda _: desk.stop())
    act.on(tab.known.change, partial(look_again, desk), tab.seen, tab.outlook[1:])
    expert.tie(tab.expert, desk, act, show, tab.shown)


def show(desk: Desk) -> list[Any]:
    """The values of `RecipeTab.shown`."""
    fields = (gr.update(value=value, interactive=True) for value in values(desk).values())
    ready = [gr.update(interactive=True)] * 2
    return [preset_cards.cards(desk), *fields, *ready, *outlook(desk)]


def refresh(desk: Desk, seen: str) -> Any:
    """Nothing where this browser tab is up to date, or is just being filled for the first time (`seen` is
    still empty): what is being typed stays.
    """
    return gr.skip() if seen in ("", desk.draft.stamp) else show(desk)


def outlook(desk: Desk) -> list[Any]:
    """The state that is shown, the sentence or what stands in the way, where the dials stand, and what
    differs from the preset.
    """
    now = read(desk)
    stands = [*(one.shown(now) for one in DIALS), prompts_part.kinds(now.settings, now.preset)]
    radios = (gr.update(choices=choices, value=on, interactive=True) for choices, on in stands)
    return [desk.draft.stamp, sentence(desk), *radios, expert.differences(now.settings, now.preset)]


def read(desk: Desk) -> Recipe:
    """What the dials are read from; pictures that cannot be used now count for none."""
    pictures: Sequence[Picture] = ()
    with suppress(TunerError):
        pictures = desk.draft.index().pictures
    return Recipe(desk.draft.settings, desk.draft.preset_settings, len(pictures))


def values(desk: Desk) -> dict[str, Any]:
    """The recipe in the fields of the main path, by the names of `FIELDS`."""
    settings = desk.draft.settings
    return {
        "name": desk.draft.name,
        "steps": settings.optimization.max_train_steps,
        "resolution": dials.resolution(settings),
        "rate": settings.optimization.learning_rate,
        "rank": settings.adapter.lora_rank,
        "prompts": prompts_part.lines(settings),
        "size": settings.sampling.validation_resolution,
        "seed": settings.sampling.validation_seed,
    }


def take(desk: Desk, fields: Mapping[str, Any]) -> None:
    """Carry over into the recipe what the user made of fields of the main path."""
    before = values(desk)
    edited = {name: value for name, value in fields.items() if value != before[name]}
    if "name" in edited:
        desk.draft.rename(edited.pop("name"))
    change: dict[str, object] = {}
    for name, value in edited.items():
        change |= _change(desk, name, value)
    if change:
        desk.draft.change(change)


def _change(desk: Desk, name: str, value: Any) -> dict[str, Any]:
    match name:
        case "steps":
            return {"optimization.max_train_steps": value, "optimization.num_train_epochs": None}
        case "resolution":
            return dials.resolution_change(desk.draft.settings, value)
        case "prompts":
            return {"library": prompts_part.library(value, desk.draft.settings)}
        case _:
            return {PATHS[name]: value}


def edit(desk: Desk, name: str, value: Any) -> Any:
    """One field of the main path was left; what comes of it, if it says something new."""
    before = desk.draft.stamp
    take(desk, {name: value})
    return outlook(desk) if desk.draft.stamp != before else gr.skip()


def turn(desk: Desk, name: str, position: str) -> list[Any]:
    """A dial was turned; -> the exact numbers, the size of samples, and the outlook."""
    dial = next(one for one in DIALS if one.name == name)
    if change := dial.change(read(desk), position):
        desk.draft.change(change)
    now = values(desk)
    return [*(now[name] for name in ("steps", "resolution", "rate", "rank", "size")), *outlook(desk)]


def fill_prompts(desk: Desk, kind: str) -> list[Any]:
    """The prompts of a kind from the library; -> them, and the outlook."""
    if change := prompts_part.of_kind(desk.draft.preset_settings, kind):
        desk.draft.change(change)
    return [values(desk)["prompts"], *outlook(desk)]


def press(desk: Desk, word: str) -> list[Any]:
    """A preset was chosen or deleted; the expert form is closed, and opens again with the new values."""
    preset_cards.press(desk, word)
    return [*show(desk), *expert.shut_values()]


def start(desk: Desk, *fields: Any) -> list[Any]:
    """Start what this browser tab shows, whatever another one made of the recipe meanwhile."""
    take(desk, dict(zip(FIELDS, fields, strict=True)))
    desk.start()
    return [gr.Tabs(selected="train"), *show(desk)]


def rehearse(desk: Desk, *fields: Any) -> list[Any]:
    """Two steps of what this browser tab shows."""
    take(desk, dict(zip(FIELDS, fields, strict=True)))
    rehearsing.start(desk)
    return show(desk)


def quick(desk: Desk) -> list[Any]:
    """The values of `RecipeTab.quick`: how a rehearsal goes, and what is known in its end."""
    going = rehearsing.is_going(desk)
    button = gr.update(interactive=not desk.session.running)
    return [rehearsing.progress(desk), button, gr.skip() if going else desk.draft.stamp]


def look_again(desk: Desk, seen: str) -> Any:
    """More is known of the recipe than this browser tab shows; what is typed stays."""
    return gr.skip() if seen in ("", desk.draft.stamp) else outlook(desk)[1:]


def enqueue(desk: Desk, *fields: Any) -> list[Any]:
    """The same for later: it starts at once only where nothing goes on and nothing waits."""
    take(desk, dict(zip(FIELDS, fields, strict=True)))
    gr.Info(wording.waits(shelf.enqueue(desk)))
    return show(desk)

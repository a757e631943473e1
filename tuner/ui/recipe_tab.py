"""How to learn: preset cards, four dials, the sentence, sample prompts, every setting, and Start."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import gradio as gr

from tuner import presets
from tuner.errors import TunerError
from tuner.presets import Outlook
from tuner.settings.fields import Spec
from tuner.settings.run import RunSettings
from tuner.settings.sampling import SamplePrompt
from tuner.ui import form, markup, shelf, wording
from tuner.ui.acting import Acting
from tuner.ui.desk import Desk
from tuner.ui.trouble import guarded

FIELDS = ("name", "steps", "resolution", "rate", "rank", "prompts")
"""The fields of the main path, in the order of `RecipeTab.fields`."""


class RecipeTab(NamedTuple):
    """`seen` says which state of the recipe this browser tab shows."""

    seen: gr.Textbox
    cards: gr.HTML
    name: gr.Textbox
    steps: gr.Number
    resolution: gr.Number
    rate: gr.Number
    rank: gr.Number
    prompts: gr.Textbox
    sentence: gr.HTML
    differs: gr.HTML
    start: gr.Button
    enqueue: gr.Button
    sections: tuple[gr.Accordion, ...]

    @property
    def fields(self) -> list[Any]:
        return [self.name, self.steps, self.resolution, self.rate, self.rank, self.prompts]

    @property
    def shown(self) -> list[Any]:
        """What `show` fills."""
        return [self.cards, *self.fields, self.start, self.enqueue, *self.outlook]

    @property
    def outlook(self) -> list[Any]:
        """What `outlook` fills."""
        return [self.seen, self.sentence, self.differs]


def build(desk: Desk) -> RecipeTab:
    """Nothing can be typed before the page is filled: the answer on its way would overwrite it."""
    seen = gr.Textbox(visible="hidden", label="Recipe shown")
    cards = markup.region("presets", acts=True)
    with gr.Row(elem_id="dials"):
        name = gr.Textbox(label="Name of this run", info=wording.NAME_HELP, min_width=220, interactive=False)
        steps, resolution, rate, rank = (
            gr.Number(label=label, info=info, min_width=160, interactive=False)
            for label, info in wording.DIALS
        )
    sentence = markup.region("sentence")
    with gr.Row():
        start = gr.Button(
            "Start training", variant="primary", size="lg", scale=3, elem_id="start", interactive=False
        )
        enqueue = gr.Button("Add to queue", size="lg", scale=1, min_width=140, interactive=False)
    with gr.Accordion("Sample prompts", open=False):
        prompts = gr.Textbox(
            label="Prompts", info=wording.PROMPTS_HELP, lines=4, max_lines=12, interactive=False
        )
    with gr.Accordion("Expert", open=False):
        markup.region("expert", value=markup.quiet(wording.EXPERT))
        differs = markup.region("differs")
        sections = tuple(_section(name, desk, [seen, sentence, differs]) for name in form.SECTIONS)
    return RecipeTab(
        seen, cards, name, steps, resolution, rate, rank, prompts, sentence, differs, start, enqueue, sections
    )


def _section(section: str, desk: Desk, outputs: list[Any]) -> gr.Accordion:
    """One group of the expert form; its fields are made when it is opened, which keeps the page light."""
    edited = guarded(desk, partial(_edit_setting, desk))

    with gr.Accordion(form.SECTIONS[section], open=False, elem_classes="settings") as accordion:

        def fields() -> None:
            settings, preset = desk.draft.settings, desk.draft.preset_settings
            for spec in form.section_specs(section):
                form.listen(form.field(spec, settings, preset), spec, edited, outputs)

        gr.render(triggers=[accordion.expand])(fields)
    return accordion


def tie(tab: RecipeTab, desk: Desk, act: Acting, opened: Any, tabs: gr.Tabs) -> None:
    """`opened` is the event that this tab is opened. What is typed is kept when the field is left."""
    act.on(opened, partial(refresh, desk), tab.seen, tab.shown)
    act.word(tab.cards.click, partial(choose, desk), [*tab.shown, *tab.sections])
    for name, field in zip(FIELDS, tab.fields, strict=True):
        act.on(form.left(field), partial(edit, desk, name), field, tab.outlook)
    act.on(tab.enqueue.click, partial(enqueue, desk), tab.fields, tab.shown)
    act.slowly(tab.sentence, tab.start.click, partial(start, desk), tab.fields, [tabs, *tab.shown])


def start(desk: Desk, *fields: Any) -> list[Any]:
    """Start what this browser tab shows, whatever another one made of the recipe meanwhile."""
    take(desk, dict(zip(FIELDS, fields, strict=True)))
    desk.start()
    return [gr.Tabs(selected="train"), *show(desk)]


def enqueue(desk: Desk, *fields: Any) -> list[Any]:
    """The same for later: it starts at once only where nothing goes on and nothing waits."""
    take(desk, dict(zip(FIELDS, fields, strict=True)))
    gr.Info(wording.waits(shelf.enqueue(desk)))
    return show(desk)


def _edit_setting(desk: Desk, spec: Spec, raw: object) -> list[str]:
    """A field of the expert form was left."""
    desk.draft.change(form.change(spec, raw, desk.draft.settings))
    return outlook(desk)


def show(desk: Desk) -> list[Any]:
    """The values of `RecipeTab.shown`."""
    fields = (gr.update(value=value, interactive=True) for value in values(desk).values())
    ready = [gr.update(interactive=True)] * 2
    return [cards(desk), *fields, *ready, *outlook(desk)]


def refresh(desk: Desk, seen: str) -> Any:
    """Nothing where this browser tab is up to date, or is just being filled for the first time (`seen` is
    still empty): what is being typed stays.
    """
    return gr.skip() if seen in ("", desk.draft.stamp) else show(desk)


def outlook(desk: Desk) -> list[str]:
    """The state that is shown, the sentence or what stands in the way, and what differs from the preset."""
    return [desk.draft.stamp, sentence(desk), differences(desk.draft.settings, desk.draft.preset_settings)]


def cards(desk: Desk) -> str:
    """All presets, with what each would need here; the one for this computer's card says so."""
    chosen, computer = desk.draft.preset, desk.computer
    best = presets.recommended(computer).name
    each = []
    for one in desk.outlooks():
        name = one.preset.name
        facts = [wording.needs(one.vram_gb, one.ram_gb), wording.file_size(_file_mb(name))]
        seconds = desk.preset_seconds(one.preset)
        facts += [] if seconds is None else [f"about {wording.duration(seconds)}"]
        yours = wording.for_card(computer.gpu_name) if name == best else ""
        each.append(_card(one, facts, yours, name == chosen))
    return f'<div class="cards" role="group" aria-label="Presets">{"".join(each)}</div>'


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


@cache
def _file_mb(preset: str) -> float:
    return presets.file_mb(presets.settings_of(preset))


def values(desk: Desk) -> dict[str, Any]:
    """The recipe in the fields of the main path, by the names of `FIELDS`."""
    settings = desk.draft.settings
    return {
        "name": desk.draft.name,
        "steps": settings.optimization.max_train_steps,
        "resolution": _resolution(settings),
        "rate": settings.optimization.learning_rate,
        "rank": settings.adapter.lora_rank,
        "prompts": "\n".join(one.prompt for one in settings.library),
    }


def take(desk: Desk, fields: Mapping[str, Any]) -> None:
    """Carry over into the recipe what the user made of fields of the main path."""
    before = values(desk)
    edited = {name: value for name, value in fields.items() if value != before[name]}
    if "name" in edited:
        desk.draft.rename(edited.pop("name"))
    change: dict[str, object] = {}
    for name, value in edited.items():
        change |= _change(desk.draft.settings, name, value)
    if change:
        desk.draft.change(change)


def _change(settings: RunSettings, name: str, value: Any) -> dict[str, object]:
    match name:
        case "steps":
            return {"optimization.max_train_steps": value, "optimization.num_train_epochs": None}
        case "resolution":
            own = [f"datasets.{one.id}.resolution" for one in settings.datasets if one.resolution is not None]
            return dict.fromkeys([*own, "dataset.resolution"], value)
        case "rate":
            return {"optimization.learning_rate": value}
        case "rank":
            return {"adapter.lora_rank": value}
        case _:
            return {"library": library(value, settings.library)}


def edit(desk: Desk, name: str, value: Any) -> list[str]:
    """One field of the main path was left; what comes of it."""
    take(desk, {name: value})
    return outlook(desk)


def choose(desk: Desk, preset: str) -> list[Any]:
    """Begin anew with a preset; the expert form is closed, and opens again with the new values."""
    desk.draft.choose(preset)
    return [*show(desk), *(gr.Accordion(open=False) for _ in form.SECTIONS)]


def _resolution(settings: RunSettings) -> float:
    """Of the first dataset: its own, else that for all."""
    active = settings.active_datasets
    return (active[0].resolution if active else None) or settings.dataset.resolution


def library(lines: str, before: Iterable[SamplePrompt]) -> tuple[SamplePrompt, ...]:
    """One prompt a line; a prompt that was there keeps its name, a new one is named after its words."""
    names = {one.prompt: one.name for one in before}
    prompts = list(dict.fromkeys(line.strip() for line in lines.splitlines() if line.strip()))
    taken = {names[prompt] for prompt in prompts if prompt in names}
    made = []
    for prompt in prompts:
        name = names.get(prompt) or _new_name(prompt, taken)
        taken.add(name)
        made.append(SamplePrompt(name, prompt))
    return tuple(made)


def _new_name(prompt: str, taken: set[str]) -> str:
    stem = re.sub(r"[^a-z0-9]+", "-", prompt.lower()).strip("-")[:40] or "prompt"
    return next(
        name for n in range(1, len(taken) + 2) if (name := stem if n == 1 else f"{stem}-{n}") not in taken
    )


def sentence(desk: Desk) -> str:
    """Pictures, passes, steps, time and size in one line; or why it cannot start."""
    try:
        plan = desk.draft.plan()
    except TunerError as error:
        return markup.problem(error)
    said = wording.recipe_sentence(
        len(plan.index.pictures),
        plan.num_steps,
        plan.settings.optimization.train_batch_size * plan.settings.optimization.gradient_accumulation_steps,
        desk.seconds(plan.num_steps - plan.first_step),
        desk.draft.file_mb(),
    )
    notes = "".join(f"<li>{markup.text(note)}</li>" for note in plan.notes)
    onward = f" {wording.goes_on(plan.first_step)}" if plan.first_step else ""
    return markup.sentence(f"{said}.{onward}") + (f"<ul>{notes}</ul>" if notes else "")


def differences(settings: RunSettings, preset: RunSettings) -> str:
    """The settings that are not the preset's, old and new value."""
    changed = form.differing(settings, preset)
    if not changed:
        return markup.quiet(wording.AS_PRESET)
    rows = (
        [markup.text(s.label), _shown(form.value_of(preset, s)), _shown(form.value_of(settings, s))]
        for s in changed
    )
    return markup.table("Changed from the preset", ("Setting", "Preset", "Now"), rows)


def _shown(value: object) -> str:
    return markup.text("–" if value is None else form.shown(value))

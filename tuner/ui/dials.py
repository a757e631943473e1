"""The four dials of a recipe: what each position means, relative to the preset and the number of pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from tuner import presets
from tuner.files import changed, lycoris_json
from tuner.optimizers import catalog as optimizers
from tuner.settings.run import RunSettings
from tuner.ui import recipe_words as words
from tuner.ui import wording

OWN = "own"
"""Where a dial stands when the recipe says something that none of its positions means."""


@dataclass(frozen=True)
class Recipe:
    """What a dial is read from; `num_pictures` 0 where nobody knows yet."""

    settings: RunSettings
    preset: RunSettings
    num_pictures: int = 0


@dataclass(frozen=True)
class Position:
    """`figures` are the user's own numbers; `change` is by dotted path; `here`: the recipe says just that."""

    name: str
    title: str
    figures: str
    change: Mapping[str, Any] = field(default_factory=dict)
    here: bool = False


@dataclass(frozen=True)
class Dial:
    """`own` says in figures what stands in the recipe."""

    name: str
    label: str
    info: str
    positions: Callable[[Recipe], tuple[Position, ...]]
    own: Callable[[Recipe], str]

    def shown(self, recipe: Recipe) -> tuple[list[tuple[str, str]], str]:
        """The choices with their names, and the one that is on."""
        positions = self.positions(recipe)
        choices = [(f"{one.title}: {one.figures}", one.name) for one in positions]
        on = next((one.name for one in positions if one.here), OWN)
        return ([*choices, (f"Own: {self.own(recipe)}", OWN)] if on == OWN else choices), on

    def change(self, recipe: Recipe, name: str) -> Mapping[str, Any]:
        """What turning the dial there does; nothing for what is set by hand."""
        return next((one.change for one in self.positions(recipe) if one.name == name), {})


# How long


class Length(NamedTuple):
    """A share of the preset's steps, but so that each picture is seen between `least` and `most` times."""

    name: str
    title: str
    share: float
    least: float
    most: float


LENGTHS = (
    Length("quick", "Quick", 0.5, 5, 250),
    Length("normal", "Normal", 1.0, 10, 500),
    Length("thorough", "Thorough", 2.0, 20, 1000),
)
ROUND_STEPS = 50


def _lengths(recipe: Recipe) -> tuple[Position, ...]:
    now = recipe.settings.optimization.max_train_steps
    return tuple(
        Position(
            one.name,
            one.title,
            words.length(steps, _times(recipe, steps)),
            {"optimization.max_train_steps": steps, "optimization.num_train_epochs": None},
            now == steps,
        )
        for one in LENGTHS
        for steps in [_steps(recipe, one)]
    )


def _steps(recipe: Recipe, length: Length) -> int:
    whole = length.share * (recipe.preset.optimization.max_train_steps or 0)
    if recipe.num_pictures:
        once = recipe.num_pictures / batch(recipe.settings)
        bounded = min(max(whole, length.least * once), length.most * once)
        if bounded != whole:
            whole = max(round(bounded / ROUND_STEPS), 1) * ROUND_STEPS
    return round(whole)


def _times(recipe: Recipe, steps: int) -> float | None:
    """How often each picture is seen."""
    return steps * batch(recipe.settings) / recipe.num_pictures if recipe.num_pictures else None


def batch(settings: RunSettings) -> int:
    """The pictures of one step."""
    return settings.optimization.train_batch_size * settings.optimization.gradient_accumulation_steps


def _own_length(recipe: Recipe) -> str:
    steps = recipe.settings.optimization.max_train_steps
    if not steps:
        return words.BY_EPOCHS
    return words.length(steps, _times(recipe, steps))


# Detail

EDGES_PX = {512: "Coarse", 768: "Medium", 1024: "Fine"}
REACH = 2
"""A dial reaches to twice or half of what the preset was made for."""


def _details(recipe: Recipe) -> tuple[Position, ...]:
    meant = recipe.preset.dataset.resolution
    edges = {int(meant): words.AS_MEANT} | {
        edge: title for edge, title in EDGES_PX.items() if 1 / REACH <= edge / meant <= REACH
    }
    now = resolution(recipe.settings)
    return tuple(
        Position(
            str(edge),
            title,
            words.detail(edge, (edge / min(edges)) ** 2),
            resolution_change(recipe.settings, edge),
            now == edge,
        )
        for edge, title in sorted(edges.items())
    )


def resolution(settings: RunSettings) -> float:
    """Of the first dataset: its own, else that for all."""
    active = settings.active_datasets
    return (active[0].resolution if active else None) or settings.dataset.resolution


def resolution_change(settings: RunSettings, value: float) -> dict[str, Any]:
    """For all datasets; samples that had the size of the pictures follow."""
    own = [f"datasets.{one.id}.resolution" for one in settings.datasets if one.resolution is not None]
    change: dict[str, Any] = dict.fromkeys([*own, "dataset.resolution"], value)
    before = f"{resolution(settings):.0f}"
    if settings.sampling.validation_resolution in (before, f"{before}x{before}"):
        change["sampling.validation_resolution"] = f"{value:.0f}x{value:.0f}"
    return change


def _own_detail(recipe: Recipe) -> str:
    unit = "megapixels" if recipe.settings.dataset.resolution_type == "area" else "px"
    return f"{wording.number(resolution(recipe.settings))} {unit}"


# Strength of learning


class Strength(NamedTuple):
    """Factors of the learning rate and of the rank."""

    name: str
    title: str
    rate: float
    rank: float


STRENGTHS = (
    Strength("gentle", "Gentle", 0.5, 0.5),
    Strength("normal", "Normal", 1.0, 1.0),
    Strength("strong", "Strong", 2.0, 2.0),
)
NORMAL = STRENGTHS[1]


def _strengths(recipe: Recipe) -> tuple[Position, ...]:
    return tuple(
        Position(
            one.name,
            one.title,
            _strength_figures(changed(recipe.settings, change)),
            change,
            _says(recipe.settings, change),
        )
        for one in STRENGTHS
        for change in [_strength_change(recipe, kind_of(recipe.settings), one)]
    )


def _strength_change(recipe: Recipe, kind: Kind | None, strength: Strength) -> dict[str, Any]:
    change: dict[str, Any] = {}
    if optimizers.row(recipe.settings.optimization.optimizer).fixed_lr is None:
        change["optimization.learning_rate"] = _short(strength.rate * _normal_rate(recipe, kind))
    if kind is None or kind.has_rank:
        change["adapter.lora_rank"] = max(round(strength.rank * recipe.preset.adapter.lora_rank), 1)
    return change


def _normal_rate(recipe: Recipe, kind: Kind | None) -> float:
    """The preset's, where it is for the same kind of adapter; else what suits the optimizer."""
    if kind is None or kind == kind_of(recipe.preset):
        return recipe.preset.optimization.learning_rate
    return kind.times_rate * optimizers.row(recipe.settings.optimization.optimizer).default_lr


def _short(number: float) -> float:
    """Without the last digits that binary fractions leave."""
    return float(f"{number:.6g}")


def _strength_figures(settings: RunSettings) -> str:
    fixed = optimizers.row(settings.optimization.optimizer).fixed_lr is not None
    kind = kind_of(settings)
    return words.strength(
        None if fixed else settings.optimization.learning_rate,
        settings.adapter.lora_rank if kind is None or kind.has_rank else None,
    )


# Adapter


class Kind(NamedTuple):
    """A kind of adapter; `times_rate` is its learning rate in terms of a LoRA's (the guide: 1e-3 with AdamW,
    2e-4 with Lion for a LoKr); `algo` is that of a LyCORIS.
    """

    name: str
    title: str
    lora_type: str
    algo: str
    has_rank: bool
    times_rate: float


KINDS = (
    Kind("lora", "LoRA", "standard", "", True, 1),
    Kind("lokr", "LoKr", "lycoris", "lokr", False, 10),
)


def kind_of(settings: RunSettings) -> Kind | None:
    """None for an adapter that is on no dial."""
    algo = settings.lycoris.get("algo", "") if settings.adapter.lora_type == "lycoris" else ""
    return next(
        (one for one in KINDS if (one.lora_type, one.algo) == (settings.adapter.lora_type, algo)), None
    )


def _kinds(recipe: Recipe) -> tuple[Position, ...]:
    now = kind_of(recipe.settings)
    strength = next(
        (one for one in STRENGTHS if _says(recipe.settings, _strength_change(recipe, now, one))), NORMAL
    )
    found = []
    for one in KINDS:
        change: dict[str, Any] = {"adapter.lora_type": one.lora_type}
        if one.algo:
            change["lycoris"] = guide_block()
        change |= _strength_change(recipe, one, strength)
        size = presets.file_mb(recipe.settings if one == now else changed(recipe.settings, change))
        found.append(Position(one.name, one.title, wording.file_size(size), change, one == now))
    return tuple(found)


@cache
def guide_block() -> Mapping[str, Any]:
    """The guide's LyCORIS file, which every preset has."""
    return lycoris_json.read_lycoris(presets.BASE / lycoris_json.NAME)


def _own_kind(recipe: Recipe) -> str:
    algo = str(recipe.settings.lycoris.get("algo", recipe.settings.adapter.lora_type))
    return f"{algo}, {wording.file_size(presets.file_mb(recipe.settings))}"


def _says(settings: RunSettings, change: Mapping[str, Any]) -> bool:
    """Whether the change would change nothing; `section.name` paths only."""
    values = (
        getattr(getattr(settings, section), name) for section, _, name in (p.partition(".") for p in change)
    )
    return all(now == then for now, then in zip(values, change.values(), strict=True))


DIALS = (
    Dial("length", "How long", words.LENGTH_HELP, _lengths, _own_length),
    Dial("detail", "Detail", words.DETAIL_HELP, _details, _own_detail),
    Dial(
        "strength",
        "Strength of learning",
        words.STRENGTH_HELP,
        _strengths,
        lambda recipe: _strength_figures(recipe.settings),
    ),
    Dial("adapter", "Adapter", words.ADAPTER_HELP, _kinds, _own_kind),
)

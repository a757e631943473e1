"""docs/settings.md as a loop over the declarations: what every key of the five files means and does here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tuner.adapters import lycoris_catalog
from tuner.adapters.lycoris_check import MOOT, MOOT_IN_PRESET
from tuner.adapters.lycoris_config import TOP
from tuner.settings import useless
from tuner.settings.environment import TWINS
from tuner.settings.fields import Kind, Spec
from tuner.settings.run import dataset_specs, specs
from tuner.settings.values import shown

SECTIONS = {
    "model": "The model",
    "memory": "Memory and precision",
    "adapter": "The adapter",
    "optimization": "Learning",
    "objective": "What is learned",
    "dataset": "Pictures, for all datasets",
    "sampling": "Previews",
    "saving": "Run folder and checkpoints",
}
TYPES: dict[Kind, str] = {
    "bool": "true or false",
    "int": "whole number",
    "float": "number",
    "str": "text",
    "texts": "text, or list of texts",
    "names": "list of names",
    "json": "object in braces",
    "list": "list in brackets",
}
HEAD = """# Settings

Every key of the five config files, what it means, and what FluxTuner does with it. This page is written by
`python -m tuner settings`, from the same declarations that the form, the checks and the trainer read.

- Keys may have dashes in front (`--lora_rank`). Of two spellings of one key the later counts, and a key that
  is cut short is taken where only one setting begins so; both is said.
- `null` and the empty text mean that the key is not set. Numbers and `true` / `false` may stand in quotes:
  `"false"` means false.
- An object or a list may stand as it is, as JSON text, or as the name of a `.json` file beside config.json.
- `{env:NAME}` inside a text becomes that variable, of config.env or else of the system.
- A key that is unknown here is named, with the one that was probably meant, and stays in the file.
- Values that do not work are refused before anything is loaded, all of them at once.
"""


LYCORIS = """## lycoris_config.json

Counts where `lora_type` is `lycoris`, or where it is not given and this file lies beside config.json. Keys
inside an entry of `module_algo_map` or `name_algo_map` hold for the layers of that entry alone; rank and
alpha are called `dim` and `alpha` there.
"""
LYCORIS_KEYS = {
    "algo": "The algorithm, see below.",
    "multiplier": "How strongly the adapter acts; `0.5` halves it.",
    "linear_dim": "The rank; with rotations the size of a block. `10000` gives a LoKr whole matrices.",
    "linear_alpha": "The strength is alpha / rank; whole matrices know none.",
    "factor": "A LoKr divides each side of a layer by it; `-1` divides as evenly as it goes.",
    "full_matrix": "A LoKr with whole matrices, whatever the rank.",
    "decompose_both": "A LoKr whose small matrix is made of two parts as well.",
    "unbalanced_factorization": "A LoKr that divides the outputs the other way round.",
    "block_size": "A DyLoRA trains that many ranks at a time.",
    "dropout": "Share of the values in the middle of the adapter that is left out at random.",
    "rank_dropout": "Share of the ranks that is left out at random.",
    "module_dropout": "Share of the steps in which a layer's adapter is left out.",
    "constraint": "How far a rotation may turn; `constrain` means the same.",
    "rescaled": "A rotation that also scales each output.",
    "dora_wd": "Trains direction and size of each weight separately (DoRA).",
    "wd_on_output": "DoRA by outputs, or with `false` by inputs.",
    "bypass_mode": "Whether a rotation or IA3 acts on a layer's bias too; the others add to its output.",
    "use_scalar": "A trained factor before everything: refused, since no file can hold it.",
    "apply_preset": "Which layers are trained: `target_module` and the keys of `module_algo_map` are classes "
    "(`Attention`, `FeedForward`, `FluxTransformerBlock` ...), `target_name` and the keys of `name_algo_map` "
    "are patterns of paths (of the shell with `use_fnmatch`), `exclude_name` leaves paths out.",
}

PROMPTS = """## user_prompt_library.json

An object: a short name, which becomes part of the picture's file name, and the prompt. Where an entry is an
object itself, its `prompt` (or `caption`, or `tags`) is the text, and `adapter_strength` how strongly the
adapter acts in that picture. `<token>`, in names and prompts, becomes the first `instance_prompt` of the
datasets.
"""
ENVIRONMENT = """## config.env

`KEY=value` lines, with or without `export` and quotes; `+=` appends, `#` begins a comment. Variables that are
not named here are set while a run goes on. These say what a key of config.json says too, which counts where
both stand there:
"""


def page() -> str:
    """The whole page, as Markdown."""
    lines = [
        HEAD,
        "## config.json",
        "",
        *_sections(),
        *_without_use("config.json", useless.CONFIG),
        "## multidatabackend.json",
        "",
        "A list of datasets. What a dataset leaves out is as it stands in config.json.",
        "",
        *_table(dataset_specs()),
        *_without_use("a dataset", useless.DATASET),
        *_lycoris(),
        PROMPTS,
        ENVIRONMENT,
        *(f"- `{name}`: `{key}`" for name, key in TWINS.items()),
        "",
        *_without_use("config.env", useless.ENVIRONMENT),
    ]
    return "\n".join(lines)


def _sections() -> Iterator[str]:
    for section, title in SECTIONS.items():
        yield from (f"### {title}", "", *_table(spec for spec in specs() if spec.section == section))


def _table(rows: Iterable[Spec]) -> Iterator[str]:
    yield "| Key | Values | Default | Meaning | Here |"
    yield "|---|---|---|---|---|"
    for spec in rows:
        cells = (_keys(spec), _values(spec), _default(spec), spec.help, effect(spec))
        yield f"| {' | '.join(cells)} |"
    yield ""


def _keys(spec: Spec) -> str:
    return "<br>or ".join(f"`{key}`" for key in spec.keys)


def _values(spec: Spec) -> str:
    if spec.choices:
        return ", ".join(_code(one) for one in spec.choices)
    bounds = [
        f"{word} {shown(bound)}"
        for word, bound in (("from", spec.minimum), ("to", spec.maximum))
        if bound is not None
    ]
    return " ".join([TYPES[spec.kind], *bounds])


def _default(spec: Spec) -> str:
    return "not set" if spec.default is None else _code(spec.default)


def _code(value: object) -> str:
    return f"`{shown(value) or ' '}`"


def effect(spec: Spec) -> str:
    """What comes of the setting here: it works, makes no difference, or some values are refused, and why."""
    if spec.moot:
        return f"Makes no difference: {spec.moot}."
    others = [one for one in spec.choices if spec.built is not None and one not in spec.built]
    if spec.built is None or (spec.choices and not others):
        return "Works."
    if not others:
        return f"Anything else is refused, because {spec.why_not(None)}."
    reasons: dict[str, list[str]] = {}
    for one in others:
        reasons.setdefault(spec.why_not(one), []).append(_code(one))
    refusals = [f"{', '.join(names)}: refused, because {why}." for why, names in reasons.items()]
    return " ".join([*refusals, "The rest works."])


def _lycoris() -> Iterator[str]:
    yield LYCORIS
    yield from (f"- `{key}`: {meaning}" for key, meaning in LYCORIS_KEYS.items())
    yield from ("", "| `algo` | What is trained | Listens to | Here |", "|---|---|---|---|")
    for row in lycoris_catalog.ALGORITHMS:
        names = "<br>or ".join(f"`{name}`" for name in (row.name, *row.aliases))
        keys = ", ".join(
            f"`{key}`" for key, option in TOP.items() if option in row.fields and key != "constrain"
        )
        here = f"Refused, because {row.why}." if row.why else "Works."
        over = f" Refused over a quantized base, because {row.why_quantized}." if row.why_quantized else ""
        yield f"| {names} | {row.title} | {keys} | {here}{over} |"
    yield ""
    yield from _without_use("lycoris_config.json", {**MOOT, **MOOT_IN_PRESET})


def _without_use(where: str, keys: Mapping[str, str]) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for key, why in keys.items():
        reasons.setdefault(why, []).append(f"`{key}`")
    yield f"These of {where} are known, stay in the file and make no difference:"
    yield ""
    yield from (f"- {', '.join(names)}: {why}." for why, names in reasons.items())
    yield ""

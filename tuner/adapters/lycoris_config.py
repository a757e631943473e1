"""lycoris_config.json as plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tuner.adapters import lycoris_catalog
from tuner.adapters.lycoris_catalog import Options
from tuner.adapters.lycoris_targets import ClassOf, Targets
from tuner.adapters.shape import Linear, Trained

CLASSES_OF_OLD = {"Attention": "FluxAttention"}
"""diffusers' general class, by which SimpleTuner's files call FLUX's attention."""
TOP = {
    "algo": "algo",
    "linear_dim": "dim",
    "linear_alpha": "alpha",
    "dora_wd": "weight_decompose",
    "wd_on_output": "wd_on_out",
    "constrain": "constraint",
    **{
        name: name
        for name in (
            "dropout", "rank_dropout", "module_dropout", "factor", "full_matrix", "decompose_both",
            "unbalanced_factorization", "block_size", "constraint", "rescaled", "bypass_mode",
        )
    },
}  # fmt: skip
"""Keys of the file, and the option that each means."""


@dataclass(frozen=True)
class LycorisShape:
    """A LyCORIS in plain values; `config` is the file as written, `init_norm` that of `init_lokr_norm`."""

    options: Options = Options()
    targets: Targets = Targets()
    multiplier: float = 1.0
    config: Mapping[str, Any] = field(default_factory=dict)
    init_norm: float | None = None
    seed: int = 0

    def options_of(self, path: str, class_of: ClassOf) -> Options | None:
        """Of the layer at `path`; None where it is not trained."""
        choice = self.targets.choice(path, class_of)
        return None if choice is None else _options(self.options, choice, INSIDE)

    def trained(self, linears: Iterable[Linear], class_of: ClassOf) -> Iterator[Trained]:
        """Raises TunerError where an algorithm cannot divide a layer as asked."""
        for linear in linears:
            options = self.options_of(linear.path, class_of)
            if options is not None:
                yield Trained(linear, lycoris_catalog.algorithm(options.algo).trained(linear, options))


def shape(config: Mapping[str, Any]) -> LycorisShape:
    """Of a file in which `problems` finds none."""
    preset = config.get("apply_preset") or {}
    classes = preset.get("target_module")
    return LycorisShape(
        options=_options(Options(), config, TOP),
        targets=Targets(
            **({} if classes is None else {"classes": tuple(today(name) for name in classes)}),
            names=tuple(preset.get("target_name") or ()),
            exclude=tuple(preset.get("exclude_name") or ()),
            by_class={today(k): v or {} for k, v in (preset.get("module_algo_map") or {}).items()},
            by_name={k: v or {} for k, v in (preset.get("name_algo_map") or {}).items()},
            fnmatch=is_true(preset.get("use_fnmatch")),
        ),
        multiplier=number(config.get("multiplier", 1.0)),
        config=config,
    )


def today(name: str) -> str:
    return CLASSES_OF_OLD.get(name, name)


def _options(common: Options, told: Mapping[str, Any], names: Mapping[str, str]) -> Options:
    given = {
        names[key]: FIELDS[names[key]](value)
        for key, value in told.items()
        if key in names and value is not None
    }
    found = replace(common, **given)
    return replace(found, algo=lycoris_catalog.algorithm(found.algo).name)


def number(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError("a number")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError("a number") from None


def _word(value: Any) -> str:
    return str(value).lower()


def _whole(value: Any) -> int:
    found = number(value)
    if found != int(found):
        raise ValueError("a whole number")
    return int(found)


def _rank(value: Any) -> int:
    found = _whole(value)
    if found < 1:
        raise ValueError("a whole number of at least 1")
    return found


def _share(value: Any) -> float:
    found = number(value)
    if not 0 <= found <= 1:
        raise ValueError("a number from 0 to 1")
    return found


def is_true(value: Any) -> bool:
    return str(value).strip().lower() in ("true", "1", "yes")


def _yes(value: Any) -> bool:
    if not is_true(value) and str(value).strip().lower() not in ("false", "0", "no"):
        raise ValueError("true or false")
    return is_true(value)


FIELDS: dict[str, Callable[[Any], Any]] = {
    "algo": _word,
    "dim": _rank,
    "alpha": number,
    "dropout": _share,
    "rank_dropout": _share,
    "module_dropout": _share,
    "factor": _whole,
    "full_matrix": _yes,
    "decompose_both": _yes,
    "unbalanced_factorization": _yes,
    "block_size": _rank,
    "constraint": number,
    "rescaled": _yes,
    "weight_decompose": _yes,
    "wd_on_out": _yes,
    "train_on_input": _yes,
    "bypass_mode": _yes,
}
INSIDE = {name: name for name in FIELDS if name != "bypass_mode"}
"""The same for the keys inside `module_algo_map` and `name_algo_map`."""

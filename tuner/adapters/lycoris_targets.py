"""Which layers `apply_preset` of lycoris_config.json chooses, and what it says of each: LyCORIS' rules,
without the state that its library keeps from one network to the next.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Override = Mapping[str, Any]
ClassOf = Callable[[str], str]
EVERY_LAYER = ("Linear", "Conv1d", "Conv2d", "Conv3d", "GroupNorm", "LayerNorm")
"""What LyCORIS takes where `target_module` is not given."""


@dataclass(frozen=True)
class Targets:
    """Classes of modules whose layers are trained, and paths of layers; `by_class` and `by_name` hold options
    that replace the common ones, and choose too.
    """

    classes: tuple[str, ...] = EVERY_LAYER
    names: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    by_class: Mapping[str, Override] = field(default_factory=dict)
    by_name: Mapping[str, Override] = field(default_factory=dict)
    fnmatch: bool = False

    def choice(self, path: str, class_of: ClassOf) -> Override | None:
        """The options of the layer at `path` that differ from the common ones; None where it is not trained.

        A chosen class catches every layer inside it, so it comes before names; the options are those of the
        innermost class that has some, and `algo`, where they are silent, that of the next one around it.
        """
        if self._listed(path, self.exclude):
            return None
        around = [one for one in _modules_around(path) if not one or not self._listed(one, self.exclude)]
        outermost = next((number for number, one in enumerate(around) if self._is_root(one, class_of)), None)
        if outermost is None:
            return self._by_name(path, class_of) if self._named(path) else None
        classes = [class_of(one) for one in around[outermost:]]
        told = [self.by_class[name] for name in reversed(classes) if name in self.by_class]
        algo = [{"algo": one["algo"]} for one in told if one.get("algo")]
        return {**(algo[0] if algo else {}), **(told[0] if told else {})}

    def _is_root(self, path: str, class_of: ClassOf) -> bool:
        name = class_of(path)
        return (name in self.classes or name in self.by_class) and not self._named(path)

    def _named(self, path: str) -> bool:
        return self._listed(path, (*self.names, *self.by_name))

    def _by_name(self, path: str, class_of: ClassOf) -> Override:
        keys = [key for key in self.by_name if key == path]
        keys += [key for key in self.by_name if self._listed(path, (key,))]
        return self.by_name[keys[0]] if keys else self.by_class.get(class_of(path), {})

    def _listed(self, path: str, patterns: tuple[str, ...]) -> bool:
        matches = fnmatch.fnmatch if self.fnmatch else lambda name, pattern: re.match(pattern, name)
        return path in patterns or any(matches(path, pattern) for pattern in patterns)


def _modules_around(path: str) -> list[str]:
    """The paths from the transformer itself down to `path`."""
    parts = path.split(".")
    return [".".join(parts[:depth]) for depth in range(len(parts) + 1)]

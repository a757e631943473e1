"""What a run says while it goes: frozen records of numbers, strings and paths (as text), each of which
survives JSON.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, get_type_hints

PHASES: tuple[tuple[str, str], ...] = (
    ("text", "Read the captions"),
    ("latents", "Encode the pictures"),
    ("load", "Load the transformer"),
    ("train", "Train"),
    ("export", "Export for ComfyUI"),
)
"""Name and title of every phase, in order: the names that plan, trainer and view use for them."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """The base; `time` is seconds since 1970."""

    time: float = field(default_factory=time.time)


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    """`phases` are the names in order; `first_step` is 0, or the step a resumed run goes on from."""

    run: str
    phases: tuple[str, ...]
    num_steps: int
    first_step: int = 0
    trigger: str = ""


@dataclass(frozen=True, kw_only=True)
class PhaseStarted(Event):
    """`total` counts what `PhaseProgress.done` counts (captions, pictures, steps); 0 where nothing can be
    counted.
    """

    name: str
    total: int = 0


@dataclass(frozen=True, kw_only=True)
class PhaseProgress(Event):
    name: str
    done: int


@dataclass(frozen=True, kw_only=True)
class PhaseSkipped(Event):
    name: str
    why: str


@dataclass(frozen=True, kw_only=True)
class PhaseMeasured(Event):
    """The most that a phase took of the card (0 without one) and of the computer; where the system keeps one
    peak for the whole life of a process, the latter is that.
    """

    name: str
    peak_vram_gb: float
    peak_ram_gb: float


@dataclass(frozen=True, kw_only=True)
class StepDone(Event):
    """One optimizer update. `seconds` is its wall time, `peak_vram_gb` the peak of the phase so far (0
    without a GPU).
    """

    step: int
    loss: float
    lr: float
    grad_norm: float
    seconds: float
    peak_vram_gb: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Evaluated(Event):
    """The loss after `step` on pictures that are kept apart."""

    step: int
    loss: float


@dataclass(frozen=True, kw_only=True)
class SampleReady(Event):
    """A preview: `name` is the prompt's short name in the library, `path` the picture. Step 0 is the
    baseline.
    """

    step: int
    name: str
    prompt: str
    seed: int
    path: str


@dataclass(frozen=True, kw_only=True)
class CheckpointSaved(Event):
    step: int
    path: str


@dataclass(frozen=True, kw_only=True)
class Exported(Event):
    """`check` is the sentence of the load check."""

    dialect: str
    path: str
    num_tensors: int = 0
    check: str = ""


@dataclass(frozen=True, kw_only=True)
class Warned(Event):
    text: str
    change: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Paused(Event):
    step: int


@dataclass(frozen=True, kw_only=True)
class Resumed(Event):
    step: int


@dataclass(frozen=True, kw_only=True)
class RunStopped(Event):
    step: int


@dataclass(frozen=True, kw_only=True)
class RunFailed(Event):
    """`advice` holds (text, change) pairs; `unexpected` says that the traceback stands in log.txt."""

    message: str
    advice: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    unexpected: bool = False


@dataclass(frozen=True, kw_only=True)
class RunFinished(Event):
    step: int
    path: str


Emit = Callable[[Event], None]

KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in Event.__subclasses__()}


def to_json(event: Event) -> dict[str, Any]:
    """`{"event": "StepDone", "time": ..., ...}`."""
    return {"event": type(event).__name__, **asdict(event)}


def from_json(record: Mapping[str, Any]) -> Event:
    """The inverse of `to_json`; raises KeyError on an unknown event name."""
    values = dict(record)
    kind = values.pop("event")
    for name in _tuples(kind) & values.keys():
        values[name] = tuple(tuple(v) if isinstance(v, list) else v for v in values[name])
    return KINDS[kind](**values)


@cache
def _tuples(kind: str) -> frozenset[str]:
    """The fields of an event, by its name, that JSON makes lists of."""
    return frozenset(
        name for name, hint in get_type_hints(KINDS[kind]).items() if str(hint).startswith("tuple")
    )

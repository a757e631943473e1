"""The plain values of a LoRA, and what it trains: a plan counts before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import NamedTuple


class Linear(NamedTuple):
    """A linear layer by its path in the transformer; all of FLUX's have a bias."""

    path: str
    num_in: int
    num_out: int


class Trained(NamedTuple):
    """One layer, and the shapes of its trained tensors by their names in a file."""

    linear: Linear
    tensors: Mapping[str, tuple[int, ...]]

    @property
    def num_parameters(self) -> int:
        return sum(prod(shape) for shape in self.tensors.values())


@dataclass(frozen=True)
class LoraShape:
    """A LoRA in plain values; `alpha` over `rank` scales the effect, `targets` are module-name endings.

    `init` is a row of `starts.STARTS`; `dora` trains the norms of the weight's rows as well.
    """

    rank: int
    alpha: float
    dropout: float
    init: str
    targets: tuple[str, ...]
    seed: int
    dora: bool = False

    def trained(self, linears: Iterable[Linear]) -> Iterator[Trained]:
        """Of `linears` those whose path is one of `targets`, or ends with "." and it: PEFT's rule."""
        endings = tuple(f".{target}" for target in self.targets)
        magnitude = ("lora_magnitude_vector",) if self.dora else ()
        for linear in linears:
            if f".{linear.path}".endswith(endings):
                pair = {
                    "lora_A.weight": (self.rank, linear.num_in),
                    "lora_B.weight": (linear.num_out, self.rank),
                }
                yield Trained(linear, pair | {name: (linear.num_out,) for name in magnitude})

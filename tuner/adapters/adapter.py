"""What is trained beside a frozen transformer: a few numbers a layer, their effect added to its output.

Nothing inside the transformer is replaced or rewritten, so that an adapter is the same over plain and
quantized layers, and an effect smaller than the rounding of a bf16 weight is not lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tuner.errors import Advice, CheckpointMismatch

Tensors = Mapping[str, Tensor]


class Layer:
    """The numbers of one linear layer, float32 on its device, by their names in a file.

    `fixed` numbers are in the file too and never trained; `alpha` is None where the algorithm has none.
    """

    def __init__(
        self, linear: nn.Linear, trained: Tensors, alpha: float | None, fixed: Tensors | None = None
    ) -> None:
        device = linear.weight.device
        self.trained = {name: nn.Parameter(values.to(device)) for name, values in trained.items()}
        self.fixed = {name: values.to(device) for name, values in (fixed or {}).items()}
        self.alpha = alpha
        self.strength = 1.0
        linear.register_forward_hook(self._add_to)

    def change(self, linear: nn.Linear, inputs: Tensor, output: Tensor) -> Tensor:
        """What the adapter adds to `output` (..., out) at the present strength."""
        raise NotImplementedError

    @property
    def idle(self) -> bool:
        """Whether the output stays as it is."""
        return self.strength == 0

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a file needs of this layer."""
        alpha = {} if self.alpha is None else {"alpha": torch.tensor(self.alpha)}
        return {**self.trained, **self.fixed, **alpha}

    @torch.no_grad()
    def take(self, tensors: Tensors) -> None:
        """Copies values of the right shapes in, in place: optimizers and means hold on to the parameters."""
        for name, here in (*self.trained.items(), *self.fixed.items()):
            here.copy_(tensors[name])
        if self.alpha is not None:
            self.alpha = float(tensors["alpha"])

    def _add_to(self, linear: nn.Linear, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if self.idle:
            return output
        return output + self.change(linear, inputs[0], output).to(output.dtype)


class Adapter:
    """The layers by the beginning of their keys in a file, and their way to and from one.

    `read` turns the tensors of a file into the names of a checkpoint; `config` is what a LyCORIS is built by.
    """

    def __init__(
        self,
        layers: Mapping[str, Layer],
        config: Mapping[str, Any] | None = None,
        read: Callable[[Tensors], Tensors] = dict,
    ) -> None:
        self._layers = dict(layers)
        self._config = config
        self._read = read

    @property
    def num_modules(self) -> int:
        return len(self._layers)

    def parameters(self) -> list[nn.Parameter]:
        return [weight for layer in self._layers.values() for weight in layer.trained.values()]

    def config(self) -> Mapping[str, Any] | None:
        """lycoris_config.json as the user wrote it; None for a plain LoRA."""
        return self._config

    def tensors(self) -> dict[str, Tensor]:
        """Copies on the CPU, float32, of everything that a file needs."""
        return {key: values.detach().float().cpu().clone() for key, values in self._all().items()}

    def load(self, tensors: Tensors) -> None:
        """Takes the values of a file; raises CheckpointMismatch, and changes nothing, on any difference."""
        here, given = self._all(), self._read(tensors)
        wrong = sorted(here.keys() ^ given.keys()) or [k for k in here if here[k].shape != given[k].shape]
        if wrong:
            raise CheckpointMismatch(
                f"The adapter file does not fit these settings: {len(wrong)} tensors differ, "
                f"the first is '{wrong[0]}'.",
                Advice("Use the settings that the file was made with, or start a new run."),
            )
        for start, layer in self._layers.items():
            layer.take({name: given[f"{start}.{name}"] for name in layer.tensors()})

    def disabled(self) -> AbstractContextManager[None]:
        """Inside, the transformer is as it was without the adapter."""
        return self.strength(0.0)

    @contextmanager
    def strength(self, value: float) -> Iterator[None]:
        """Inside, the effect is multiplied by `value`; what is disabled stays so."""
        before = [layer.strength for layer in self._layers.values()]
        try:
            for layer in self._layers.values():
                layer.strength *= value
            yield
        finally:
            for layer, old in zip(self._layers.values(), before, strict=True):
                layer.strength = old

    def _all(self) -> dict[str, Tensor]:
        return {
            f"{start}.{name}": values
            for start, layer in self._layers.items()
            for name, values in layer.tensors().items()
        }


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, first values are drawn from `seed`; the dice of the run stay where they were."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        yield

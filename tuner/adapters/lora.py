"""LoRA: the effect of a layer is alpha / r * B A x, with the starts and the DoRA of PEFT on any base."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from tuner.adapters.adapter import Adapter, Layer, Tensors, seeded
from tuner.adapters.base import Base
from tuner.adapters.decompositions import first_directions, principal
from tuner.adapters.lora_file import named
from tuner.adapters.shape import Linear, LoraShape, Trained
from tuner.adapters.starts import start

A, B, MAGNITUDE = "lora_A.weight", "lora_B.weight", "lora_magnitude_vector"
FIRST_A, FIRST_B = "lora_A_init.weight", "lora_B_init.weight"


class LoraLayer(Layer):
    """`trained` holds A (r, in) and B (out, r), with DoRA the norms of the rows (out,).

    `fixed` holds the first A and B where they were no zero effect: `stays` says whether their effect belongs
    to the frozen layer (what quantizing had lost), or is taken off (a part of the weight itself).
    """

    def __init__(
        self, linear: nn.Linear, shape: LoraShape, base: Base, pair: Tensors, first: Tensors
    ) -> None:
        super().__init__(linear, pair, shape.alpha, first)
        self._dropout = shape.dropout
        self._base = base
        self._stays = start(shape.init).source == "residual" and bool(first)
        if shape.dora:
            self.trained[MAGNITUDE] = nn.Parameter(self._row_norms(linear))

    @property
    def idle(self) -> bool:
        return self.strength == 0 and not self._stays

    def change(self, linear: nn.Linear, inputs: Tensor, output: Tensor) -> Tensor:
        dropped = F.dropout(inputs, self._dropout, linear.training) if self._dropout else inputs
        change = self._product(dropped, self.trained[A], self.trained[B])
        if self.fixed and not self._stays:
            change = change - self._first(inputs)
        if MAGNITUDE in self.trained:
            change = self._with_row_norms(linear, change, output)
        if self.strength == 1:
            return change
        rest = self._first(inputs) if self._stays else 0
        return rest + self.strength * (change - rest)

    def _first(self, inputs: Tensor) -> Tensor:
        return self._product(inputs, self.fixed[FIRST_A], self.fixed[FIRST_B])

    def _product(self, inputs: Tensor, down: Tensor, up: Tensor) -> Tensor:
        return F.linear(F.linear(inputs, down), up) * self._scale

    @property
    def _scale(self) -> float:
        assert self.alpha is not None
        return self.alpha / len(self.trained[A])

    def _with_row_norms(self, linear: nn.Linear, change: Tensor, output: Tensor) -> Tensor:
        """DoRA: the rows of W + change have the norms that are trained. `output` is W x + bias."""
        factor = self.trained[MAGNITUDE] / self._row_norms(linear)
        plain = output if linear.bias is None else output - linear.bias
        return (factor - 1) * plain + factor * change

    @torch.no_grad()
    def _row_norms(self, linear: nn.Linear) -> Tensor:
        """|W + s B A| (out,) without that sum: |W|^2 + 2 s W.BA + s^2 |BA|^2. A constant for gradients, as in
        section 4.3 of the DoRA paper.
        """
        with torch.autocast(linear.weight.device.type, enabled=False):
            weight = self._base.dequantized(linear)
            down, up = self.trained[A], self.trained[B]
            if self.fixed and not self._stays:
                down = torch.cat([down, self.fixed[FIRST_A]])
                up = torch.cat([up, -self.fixed[FIRST_B]], dim=1)
            crossed = ((weight @ down.T) * up).sum(1)
            squared = ((up @ (down @ down.T)) * up).sum(1)
            norms = weight.square().sum(1) + 2 * self._scale * crossed + self._scale**2 * squared
            return norms.clamp_min(torch.finfo(norms.dtype).tiny).sqrt()


def attach(transformer: nn.Module, shape: LoraShape, base: Base) -> Adapter:
    """Puts a fresh LoRA on every targeted layer."""
    modules = dict(linears(transformer))
    with seeded(shape.seed):
        layers = {
            f"transformer.{one.linear.path}": _layer(modules[one.linear], one, shape, base)
            for one in shape.trained(modules)
        }
    return Adapter(layers, read=named)


def linears(transformer: nn.Module) -> Iterator[tuple[Linear, nn.Linear]]:
    """Every linear layer in the order of the model, quantized ones too."""
    for path, module in transformer.named_modules():
        if isinstance(module, nn.Linear):
            yield Linear(path, module.in_features, module.out_features), module


@torch.no_grad()
def _layer(module: nn.Linear, one: Trained, shape: LoraShape, base: Base) -> LoraLayer:
    # The draws of PEFT in their order, so that a seed gives the values that it gives there.
    down = nn.Linear(module.in_features, shape.rank, bias=False).weight.data
    up = nn.Linear(shape.rank, module.out_features, bias=False).weight.data
    if shape.init == "gaussian":
        nn.init.normal_(down, std=1 / shape.rank)
    else:
        nn.init.kaiming_uniform_(down, a=math.sqrt(5))
    nn.init.zeros_(up)
    matrix = _source(module, one.linear.path, shape, base)
    first = {}
    if matrix is not None:
        strong_down, strong_up = _factored(matrix, shape)
        # A layer with fewer directions than the rank keeps its random rest.
        down[: len(strong_down)], up[:, : len(strong_down)] = strong_down, strong_up
        first = {FIRST_A: down.clone(), FIRST_B: up.clone()}
    return LoraLayer(module, shape, base, {A: down, B: up}, first)


def _source(module: nn.Linear, path: str, shape: LoraShape, base: Base) -> Tensor | None:
    """The matrix (out, in) that the first values are made of; None where they come from chance, as they do
    in a layer that lost nothing by quantizing.
    """
    source = start(shape.init).source
    if source == "chance":
        return None
    matrix = base.dequantized(module)
    if source == "weight":
        return matrix
    lost = base.original(path).to(matrix) - matrix
    return lost if lost.any() else None


def _factored(matrix: Tensor, shape: LoraShape) -> tuple[Tensor, Tensor]:
    if shape.init == "olora":
        return first_directions(matrix, shape.rank)
    down, up = principal(matrix, shape.rank)
    root = math.sqrt(shape.alpha / shape.rank)
    return down / root, up / root

"""LyCORIS' algorithms as additions to a layer's output, in the tensors and names of LyCORIS' own files.

Its library is the reference in the tests and is not used here: where it rebuilds a weight it loses small
effects to the rounding of bf16, where it does not it turns biases along, it keeps what was chosen for one
network for the next, and rolls dice that no checkpoint holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from tuner.adapters import lycoris_catalog
from tuner.adapters.adapter import Adapter, Layer, seeded
from tuner.adapters.base import Base
from tuner.adapters.effects import CHANGES, WEIGHTS, Place
from tuner.adapters.lora import linears
from tuner.adapters.lycoris_catalog import Options
from tuner.adapters.lycoris_config import LycorisShape
from tuner.adapters.shape import Linear, Trained
from tuner.errors import Advice, TunerError


def _uniform(values: Tensor) -> Tensor:
    return nn.init.kaiming_uniform_(values, a=math.sqrt(5))


def _normal(std: float) -> Callable[[Tensor], Tensor]:
    return lambda values: nn.init.normal_(values, std=std)


FIRST: dict[str, Callable[[Tensor], Tensor]] = {
    **{name: _uniform for name in ("lora_down.weight", "a1.weight", "b1.weight", "lokr_w1")},
    **{name: _uniform for name in ("lokr_w1_a", "lokr_w1_b", "lokr_w2_a")},
    "hada_w1_a": _normal(0.1),
    "hada_w1_b": _normal(1.0),
    "hada_w2_b": _normal(1.0),
    "rescale": nn.init.ones_,
}
"""First values by name; every other tensor begins at zero, so that no algorithm has an effect at first."""


class LycorisLayer(Layer):
    """One layer of any of the algorithms; `trained` as the catalog's `shapes` name them."""

    def __init__(self, linear: nn.Linear, one: Trained, options: Options, factor: float, base: Base) -> None:
        shapes = dict(one.tensors)
        if linear.bias is None:
            shapes.pop("diff_b", None)
        trained = {
            name: FIRST.get(name, nn.init.zeros_)(torch.empty(shape)) for name, shape in shapes.items()
        }
        super().__init__(linear, trained, _alpha(options, one), _constants(options))
        self._options = options
        self._factor = factor
        self._base = base
        if "dora_scale" in trained:
            weight = base.dequantized(linear)
            self.trained["dora_scale"].data.copy_(weight.norm(dim=int(options.wd_on_out), keepdim=True))

    def change(self, linear: nn.Linear, inputs: Tensor, output: Tensor) -> Tensor:
        options, training = self._options, linear.training
        if training and options.module_dropout and torch.rand(()) < options.module_dropout:
            return torch.zeros_like(output)
        place = Place(linear, inputs, output, training)
        if "dora_scale" in self.trained:
            change = F.linear(inputs, self._turned_to_norms(linear).to(inputs.dtype))
        else:
            change = CHANGES[options.algo](self.trained, options, self.alpha or 0.0, place)
        if training and options.dropout:
            change = F.dropout(change, options.dropout)
        return self._factor * self.strength * change

    def _turned_to_norms(self, linear: nn.Linear) -> Tensor:
        """DoRA: W' - W, where the rows (or columns) of W' have the norms that are trained."""
        with torch.autocast(linear.weight.device.type, enabled=False):
            weight = self._base.dequantized(linear)
            changed = weight + WEIGHTS[self._options.algo](self.trained, self._options, self.alpha or 0.0)
            norms = changed.norm(dim=int(self._options.wd_on_out), keepdim=True)
            return changed * (self.trained["dora_scale"] / norms.clamp_min(1e-12)) - weight


def attach(transformer: nn.Module, shape: LycorisShape, base: Base) -> Adapter:
    """Puts a fresh LyCORIS on every layer that its file chooses; raises TunerError where one cannot be."""
    modules = dict(linears(transformer))
    classes = {path: type(module).__name__ for path, module in transformer.named_modules()}
    classes |= {linear.path: "Linear" for linear in modules}
    with seeded(shape.seed):
        layers = {
            f"lycoris_{one.linear.path.replace('.', '_')}": _layer(
                modules[one.linear], one, shape, classes, base
            )
            for one in shape.trained(modules, classes.__getitem__)
        }
    return Adapter(layers, shape.config)


def _layer(
    module: nn.Linear, one: Trained, shape: LycorisShape, classes: dict[str, str], base: Base
) -> LycorisLayer:
    options = shape.options_of(one.linear.path, classes.__getitem__)
    assert options is not None
    layer = LycorisLayer(module, one, options, shape.multiplier, base)
    if shape.init_norm is not None:
        _perturb(layer, module, one.linear, shape.init_norm, base)
    return layer


@torch.no_grad()
def _perturb(layer: LycorisLayer, module: nn.Linear, linear: Linear, scale: float, base: Base) -> None:
    """W1 of ones, and W2 random with the mean and deviation of the frozen weight times `scale`."""
    small, large = layer.trained.get("lokr_w1"), layer.trained.get("lokr_w2")
    if small is None or large is None:
        raise TunerError(
            f"'init_lokr_norm' needs LoKr with whole matrices, and '{linear.path}' has other tensors "
            f"({', '.join(layer.trained)}).",
            Advice("Start from zero.", {"adapter.init_lokr_norm": None}),
            Advice("Train whole matrices.", {"lycoris.full_matrix": True}),
        )
    weight = base.dequantized(module)
    drawn = torch.randn(large.shape).to(weight)
    small.fill_(1.0)
    large.copy_(((drawn - drawn.mean()) / drawn.std() * weight.std() + weight.mean()) * scale)


def _alpha(options: Options, one: Trained) -> float | None:
    """The number of that name in a file: LyCORIS keeps the limit of a rotation under it too."""
    fields = lycoris_catalog.algorithm(options.algo).fields
    if "constraint" in fields:
        return options.constraint
    if "alpha" not in fields:
        return None
    whole = "lokr_w1" in one.tensors and "lokr_w2" in one.tensors
    return float(options.dim) if whole else options.alpha or float(options.dim)


def _constants(options: Options) -> dict[str, Tensor]:
    return {"on_input": torch.tensor(float(options.train_on_input))} if options.algo == "ia3" else {}

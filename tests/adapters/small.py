"""Two linear layers in every precision, and the life of an adapter on them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tuner.adapters.adapter import Adapter
from tuner.adapters.base import Base
from tuner.quantization.catalog import precision
from tuner.quantization.frozen import dequantized

CPU = torch.device("cpu")
BASES = ("plain", "bf16", "int8-quanto", "int4-quanto", "nf4-bnb")


class Small(nn.Module):
    """128 -> 256 -> 128; `originals` keeps the weights as they were before they were quantized."""

    def __init__(self, base: str = "plain") -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.second = nn.Linear(128, 256), nn.Linear(256, 128)
        self.originals = {path: layer.weight.detach().clone() for path, layer in self.named_children()}
        self.dtype = torch.float32 if base == "plain" else torch.bfloat16
        self.to(self.dtype)
        if base not in ("plain", "bf16"):
            quantize = precision(base).quantize
            assert quantize is not None
            for path, weight in self.originals.items():
                setattr(self, path, quantize(weight, getattr(self, path).bias.data, CPU, self.dtype))
        self.requires_grad_(False).eval()

    def base(self) -> Base:
        return Base(dequantized, self.originals.__getitem__)

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            return self.second(torch.tanh(self.first(inputs.to(self.dtype)))).float()


def inputs() -> Tensor:
    return torch.randn(2, 5, 128, generator=torch.Generator().manual_seed(7))


def shaken(adapter: Adapter, by: float = 0.05) -> Adapter:
    """With every trained number moved."""
    dice = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for weight in adapter.parameters():
            weight.add_(by * torch.randn(weight.shape, generator=dice))
    return adapter


def check_life(base: str, attach: Callable[[Small], Adapter], begins_at_zero: bool = True) -> None:
    """No effect at first, a gradient for every number, none when disabled, and the same out of a file."""
    model = Small(base)
    before = model(inputs())
    adapter = attach(model)
    assert torch.equal(model(inputs()), before) is begins_at_zero
    assert all(weight.dtype == torch.float32 for weight in adapter.parameters())
    shaken(adapter)
    model.train()
    for _ in range(8):
        model(inputs()).square().sum().backward()
    assert all(w.grad is not None and w.grad.isfinite().all() and w.grad.any() for w in adapter.parameters())
    model.eval()
    trained = model(inputs())
    assert not torch.equal(trained, before)
    with adapter.strength(0.5):
        half = model(inputs())
    assert not torch.equal(half, trained) and torch.equal(model(inputs()), trained)
    if begins_at_zero:
        with adapter.disabled():
            assert torch.equal(model(inputs()), before)
    tensors = adapter.tensors()
    assert all(values.dtype == torch.float32 for values in tensors.values())
    again = Small(base)
    attach(again).load(tensors)
    assert torch.equal(again(inputs()), trained)

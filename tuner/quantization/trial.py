"""`python -m tuner.quantization.trial`: one layer of each kind that the presets use, forwards and backwards.

A process of its own, so that a library which breaks down takes nothing else with it.
"""

from __future__ import annotations

import json
import sys

import torch
from torch import Tensor

from tuner.errors import told
from tuner.quantization.catalog import precision

TRIED = {"nf4-bnb": 0.2, "int8-quanto": 0.03}
"""Precision -> the largest relative error of its products that is still right."""
WIDTH = 256


def main() -> list[dict[str, object]]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    where = torch.cuda.get_device_name() if device.type == "cuda" else "the processor"
    return [_tried(name, largest, device, where) for name, largest in TRIED.items()]


def _tried(name: str, largest: float, device: torch.device, where: str) -> dict[str, object]:
    problems: list[object] = []
    with told(problems.append):
        if (error := max(_errors(name, device))) > largest:
            problems.append(f"its products are wrong by {error:.0%}")
    return {"name": name, "where": where, "problem": " ".join(map(str, problems))}


def _errors(name: str, device: torch.device) -> tuple[float, float]:
    """Relative errors of the output and of the gradient, against the same layer unquantized."""
    row, dice = precision(name), torch.Generator().manual_seed(0)
    weight = torch.randn(WIDTH, WIDTH, generator=dice) * 0.02
    inputs = torch.randn(8, WIDTH, generator=dice).to(device, torch.bfloat16).requires_grad_()
    assert row.quantize is not None
    layer = row.quantize(weight.to(device), None, device, torch.bfloat16)
    output = layer(inputs)
    output.sum().backward()
    plain = weight.to(device, torch.bfloat16).float()
    return _error(output, inputs.float() @ plain.T), _error(inputs.grad, plain.sum(0).expand_as(inputs))


def _error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours.detach().float() - theirs.detach()).norm() / theirs.detach().norm())


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main()) + "\n")

"""A small problem for optimizers: the two matrices of a LoRA are to become one fixed matrix."""

from __future__ import annotations

import torch


def lora_pair(dtype: torch.dtype) -> list[torch.nn.Parameter]:
    """A (64, 256) and B (128, 64) of a LoRA at its start, large enough for 8-bit states."""
    down = torch.randn(64, 256, generator=torch.Generator().manual_seed(0)) / 16
    return [torch.nn.Parameter(down.to(dtype)), torch.nn.Parameter(torch.zeros(128, 64, dtype=dtype))]


def loss_of(parameters: list[torch.nn.Parameter]) -> torch.Tensor:
    goal = torch.randn(128, 256, generator=torch.Generator().manual_seed(1)) / 4
    return ((parameters[1].float() @ parameters[0].float() - goal) ** 2).sum()


def train(optimizer: torch.optim.Optimizer, parameters: list[torch.nn.Parameter], steps: int) -> list[float]:
    """The losses before each of the steps."""
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(parameters)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses

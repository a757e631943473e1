"""What the training stages share: AdamW over several processes, and a running average of the weights."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn

log = logging.getLogger(__name__)

WORKERS = 2
EMA_DECAY = 0.998


class Average:
    """A running average of the weights (EMA): what is kept at the end."""

    def __init__(self, models: list[nn.Module]) -> None:
        self._live = [p for model in models for p in model.parameters()]
        self._kept = [p.detach().clone() for p in self._live]
        self._updates = 0

    def update(self) -> None:
        self._updates += 1
        decay = min(EMA_DECAY, (1 + self._updates) / (10 + self._updates))
        torch._foreach_lerp_(self._kept, [p.detach() for p in self._live], 1 - decay)

    def copy_to(self, models: list[nn.Module]) -> None:
        with torch.no_grad():
            for live, kept in zip(
                (p for model in models for p in model.parameters()), self._kept, strict=True
            ):
                live.copy_(kept)


def optimize(
    models: list[nn.Module],
    loss: Callable[[], Tensor],
    steps: int,
    *,
    rate: float,
    flat: float,
    after_step: Callable[[], None] = lambda: None,
) -> None:
    """AdamW with gradients averaged over the workers; `rate` holds for the share `flat`, then a cosine to
    zero.
    """
    parameters = [p for model in models for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.99), weight_decay=1e-3, fused=True)
    started, shown = time.monotonic(), 0.0
    for step in range(steps):
        progress = max(0.0, step / steps - flat) / (1 - flat)
        warm = min(1.0, (step + 1) / 50)
        optimizer.param_groups[0]["lr"] = rate * warm * 0.5 * (1 + math.cos(math.pi * progress))
        value = loss()
        value.backward()
        _average_gradients(parameters)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        after_step()
        shown = 0.98 * shown + 0.02 * value.item() if step else value.item()
        if (step + 1) % 100 == 0:
            log.info(
                "step %d of %d, loss %.4f, %.2f s a step",
                step + 1,
                steps,
                shown,
                (time.monotonic() - started) / (step + 1),
            )


def _average_gradients(parameters: list[nn.Parameter]) -> None:
    """Copies the mean into each gradient, which keeps its own memory layout: the fused optimizer relies on
    it.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= WORKERS
    for gradient, piece in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(piece.view_as(gradient))


def share_start(*models: nn.Module) -> None:
    for model in models:
        for tensor in model.state_dict().values():
            dist.broadcast(tensor, 0)

"""Gradient checkpointing: blocks that are computed again in the backward pass instead of being remembered."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Run = Callable[..., Any]
"""(block, its inputs) -> its outputs, with less to remember than a plain call."""


def enable(transformer: nn.Module, backend: str, paths: Collection[str]) -> None:
    """Checkpoints the blocks at these paths."""
    chosen, run = frozenset(map(transformer.get_submodule, paths)), BACKENDS[backend]

    def call(block: nn.Module, *inputs: Any) -> Any:
        return run(block, *inputs) if block in chosen else block(*inputs)

    transformer.enable_gradient_checkpointing(call)


def _recomputed(block: nn.Module, *inputs: Any) -> Any:
    return checkpoint(block, *inputs, use_reentrant=False)


def _offloaded(block: nn.Module, *inputs: Any) -> Any:
    """The inputs wait for the backward pass in the computer's memory."""

    def fetched_back(*waiting: Any) -> Any:
        return block(*(_to(devices.get(index), one) for index, one in enumerate(waiting)))

    devices = {index: one.device for index, one in enumerate(inputs) if isinstance(one, Tensor)}
    return checkpoint(fetched_back, *(_to(torch.device("cpu"), one) for one in inputs), use_reentrant=False)


def _to(device: torch.device | None, one: Any) -> Any:
    return one.to(device) if isinstance(one, Tensor) else one


BACKENDS: dict[str, Run] = {"torch": _recomputed, "unsloth": _offloaded}

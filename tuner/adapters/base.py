"""What an algorithm may ask of the frozen weights below it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Base:
    """Both give float32 (out, in): `dequantized` the weight that a linear layer multiplies by, `original` the
    one that stands for a module's path in the model's files.
    """

    dequantized: Callable[[torch.nn.Module], Tensor]
    original: Callable[[str], Tensor]

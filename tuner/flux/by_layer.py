"""T5 one layer at a time, for all given texts at once: as much memory as one layer and the texts take."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import T5Config, T5EncoderModel

from tuner import machine

Fill = Callable[[nn.Module, str], nn.Module]
"""(module on the meta device, its path in the model) -> it, frozen, with its weights on the device."""


class LayeredT5(nn.Module):
    """Stands where a `T5EncoderModel` stood and gives the same numbers; each call reads all layers anew.

    Within a layer `rows` texts are computed at a time; between the layers they wait in host memory.
    """

    def __init__(self, config: T5Config, fill: Fill, rows: int) -> None:
        super().__init__()
        self._fill, self._rows = fill, rows
        with torch.device("meta"):
            # In a list, so that weights which are not there are none of this module's.
            self._empty = [T5EncoderModel(config).eval()]
        self.final_layer_norm = self._filled("encoder.final_layer_norm")

    @torch.no_grad()
    def forward(self, tokens: Tensor, **_: Any) -> tuple[Tensor]:
        """(N, L) token ids to (N, L, D) embeddings in host memory."""
        words = self._filled("shared")
        texts = [words(piece).cpu() for piece in tokens.split(self._rows)]
        del words
        bias: Tensor | None = None
        for number in range(len(self._empty[0].encoder.block)):
            block = self._filled(f"encoder.block.{number}")
            for index, piece in enumerate(texts):
                made, bias, *_rest = block(piece.to(tokens.device), None, bias)
                texts[index] = made.cpu()
            del block
            machine.release_freed_memory()
        return (torch.cat([self.final_layer_norm(piece.to(tokens.device)).cpu() for piece in texts]),)

    def _filled(self, path: str) -> nn.Module:
        """A copy of one part, with its weights."""
        return self._fill(copy.deepcopy(self._empty[0].get_submodule(path)), path)

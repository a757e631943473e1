"""TREAD: some blocks work on a random part of the picture's tokens, which makes a training step cheaper.

Source: "TREAD: Token Routing for Efficient Architecture-agnostic Diffusion Training" (Krause et al., 2025).
Which tokens stay is drawn evenly, as SimpleTuner draws it: no measure of importance takes part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tuner.flux.routes import Route

BlockCall = Callable[..., tuple[Tensor, Tensor]]
"""(block, image tokens, text tokens, time embedding, rotary table, attention's extras) -> (text, image)."""


class _PerSample:
    """A rotary table with rows of its own for each sample: (B, S, D), where diffusers expects one (S, D).

    `apply_rotary_emb` asks a table for `[None, :, None, :]` and multiplies (B, S, heads, D) with it.
    """

    def __init__(self, rows: Tensor) -> None:
        self._rows = rows

    def __getitem__(self, _: object) -> Tensor:
        return self._rows[:, :, None, :]


@dataclass(frozen=True)
class _Way:
    """What the blocks of one route are given, and what the end of the route needs."""

    last: int
    whole: Tensor  # (B, S, D): the image tokens before the route
    rows: Tensor  # (B, K): which of them stay
    rotary: tuple[_PerSample, ...]
    extras: Mapping[str, Any] | None


class Routing:
    """Token routing around the blocks of one transformer, while it trains and gradients are on.

    It sits where diffusers asks for gradient checkpointing: a function around each block, called only with
    gradients enabled. The tokens are taken out before that function and put back behind it, so a block that
    is computed again sees the very same ones.
    """

    def __init__(self, transformer: nn.Module, routes: Sequence[Route], dice: torch.Generator) -> None:
        blocks = (*transformer.transformer_blocks, *transformer.single_transformer_blocks)
        self._number_of = {block: number for number, block in enumerate(blocks)}
        self._starts = {route.first: route for route in routes}
        self.dice = dice
        self._num_tokens: int | None = None
        self._forced: Tensor | None = None
        self._way: _Way | None = None
        self._call: BlockCall = (
            transformer._gradient_checkpointing_func if transformer.gradient_checkpointing else _plainly
        )
        transformer.enable_gradient_checkpointing(self._around)

    def expect(self, num_tokens: int, forced: Tensor | None = None) -> None:
        """The next forward passes have `num_tokens` noisy tokens in front; what comes behind them (kontext's
        references) is never routed, nor are those where `forced` (B, num_tokens) bool is true.
        """
        self._num_tokens, self._forced = num_tokens, forced

    def _around(
        self, block: nn.Module, image: Tensor, text: Tensor, time: Tensor, rotary: Any, extras: Any
    ) -> tuple[Tensor, Tensor]:
        number = self._number_of[block]
        if number in self._starts and block.training:
            self._way = self._enter(self._starts[number], image, text.shape[1], rotary, extras)
            image = _taken(image, self._way.rows)
        way = self._way
        if way is None:
            return self._call(block, image, text, time, rotary, extras)
        text, image = self._call(block, image, text, time, way.rotary, way.extras)
        if number == way.last:
            self._way = None
            image = way.whole.to(image.dtype).scatter(1, _wide(way.rows, image), image)
        return text, image

    def _enter(self, route: Route, image: Tensor, num_text: int, rotary: Any, extras: Any) -> _Way:
        batch, total, _ = image.shape
        num_noisy = total if self._num_tokens is None else self._num_tokens
        kept = draw_kept(batch, num_noisy, route.ratio, self.dice, self._forced)
        behind = torch.arange(num_noisy, total, device=image.device).expand(batch, -1)
        rows = torch.cat([kept, behind], 1)
        words = torch.arange(num_text, device=image.device).expand(batch, -1)
        joint = torch.cat([words, rows + num_text], 1)
        if extras and extras.get("attention_mask") is not None:
            mask = extras["attention_mask"].expand(batch, 1, 1, -1)
            extras = {**extras, "attention_mask": mask.take_along_dim(joint[:, None, None], -1)}
        return _Way(route.last, image, rows, tuple(_PerSample(table[joint]) for table in rotary), extras)


def draw_kept(
    batch: int, num_tokens: int, ratio: float, dice: torch.Generator, forced: Tensor | None = None
) -> Tensor:
    """(B, K) ascending rows of the tokens that stay, drawn for each sample by itself.

    K = S - round(S * ratio), or the most tokens that are forced in one sample where that is more.
    """
    num_kept = num_tokens - round(num_tokens * ratio)
    scores = torch.rand(batch, num_tokens, generator=dice, device=dice.device)
    if forced is not None:
        scores = scores.masked_fill(forced, -1.0)
        num_kept = max(num_kept, int(forced.sum(1).max()))  # waits for the GPU
    return scores.argsort(1)[:, :num_kept].sort(1).values


def _plainly(block: nn.Module, *inputs: Any) -> tuple[Tensor, Tensor]:
    return block(*inputs)


def _taken(tokens: Tensor, rows: Tensor) -> Tensor:
    return tokens.gather(1, _wide(rows, tokens))


def _wide(rows: Tensor, tokens: Tensor) -> Tensor:
    """(B, K) rows for `gather` and `scatter` on tokens (B, S, D)."""
    return rows[..., None].expand(-1, -1, tokens.shape[2])

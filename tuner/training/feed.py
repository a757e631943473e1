"""Caches to tensors: what one micro-batch of the loop is made of, always read from the cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tuner.dataset.batches import Batch, Batches
from tuner.dataset.cache import TensorCache
from tuner.dataset.index import Picture
from tuner.flux.objective import Conditions
from tuner.plan.sources import CacheNames, cache_names
from tuner.settings.run import RunSettings


@dataclass(frozen=True)
class Caches:
    """Both caches, and how their entries are named."""

    latents: TensorCache
    prompts: TensorCache
    names: CacheNames

    def latent_key(self, picture: Picture) -> str:
        return self.names.latent_key(picture)

    def prompt_key(self, text: str) -> str:
        return self.names.prompt_key(text)

    def missing_texts(self, texts: Iterable[str]) -> list[str]:
        return [one for one in texts if not self.prompts.has(self.prompt_key(one))]

    def missing_pictures(self, pictures: Iterable[Picture]) -> list[Picture]:
        return [one for one in pictures if not self.latents.has(self.latent_key(one))]

    def prompt(self, text: str) -> dict[str, Tensor]:
        """`pooled` (P,) and `embeddings` (L, D) of one text."""
        return self.prompts.get(self.prompt_key(text))


def open_caches(settings: RunSettings) -> Caches:
    names = cache_names(settings)
    return Caches(TensorCache(names.latents), TensorCache(names.prompts), names)


@dataclass(frozen=True)
class MicroBatch:
    """Latents (B, C, H, W) float32 in the transformer's scale, and what the transformer is told of them."""

    latents: Tensor
    conditions: Conditions


@dataclass(frozen=True)
class Feed:
    """Endless micro-batches; `dice` draws posterior samples and dropped captions, so that its state is the
    feed's.
    """

    batches: Batches
    caches: Caches
    caption_dropout: float
    dice: torch.Generator
    device: torch.device
    dtype: torch.dtype

    def __iter__(self) -> Iterator[MicroBatch]:
        for batch in self.batches:
            yield self._micro_batch(batch)

    def _micro_batch(self, batch: Batch) -> MicroBatch:
        dropped = (torch.rand(len(batch.items), generator=self.dice) < self.caption_dropout).tolist()
        texts = ["" if drop else item.caption for item, drop in zip(batch.items, dropped, strict=True)]
        prompts = [self.caches.prompt(text) for text in texts]
        posteriors = [self.caches.latents.get(self.caches.latent_key(item.picture)) for item in batch.items]
        mean = torch.stack([p["mean"] for p in posteriors]).float()
        deviation = torch.stack([p["std"] for p in posteriors]).float()
        latents = mean + deviation * torch.randn(mean.shape, generator=self.dice)
        return MicroBatch(
            latents.to(self.device, non_blocking=True),
            Conditions(self._stacked(prompts, "pooled"), self._stacked(prompts, "embeddings")),
        )

    def _stacked(self, entries: list[dict[str, Tensor]], name: str) -> Tensor:
        return torch.stack([entry[name] for entry in entries]).to(self.device, self.dtype, non_blocking=True)

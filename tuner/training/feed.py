"""Caches to tensors: what one micro-batch of the loop is made of, always read from the cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from tuner.dataset.batches import Batch, Batches
from tuner.dataset.cache import TensorCache
from tuner.dataset.index import DatasetEntry, Picture
from tuner.flux.latents import PATCH
from tuner.flux.objective import Conditions
from tuner.plan.sources import CacheNames, cache_names
from tuner.settings.run import RunSettings


@dataclass(frozen=True)
class Caches:
    """Both caches, and how their entries are named; `zero_padding`: prompts have zeros for padding."""

    latents: TensorCache
    prompts: TensorCache
    names: CacheNames
    zero_padding: bool = False

    def latent_key(self, picture: Picture) -> str:
        return self.names.latent_key(picture)

    def prompt_key(self, text: str) -> str:
        return self.names.prompt_key(text)

    def missing_texts(self, texts: Iterable[str]) -> list[str]:
        return [one for one in texts if not self.prompts.has(self.prompt_key(one))]

    def missing_pictures(self, pictures: Iterable[Picture]) -> list[Picture]:
        """Those of which anything is missing: latents, mask or references."""
        return [one for one in pictures if not all(map(self.latents.has, self.names.picture_keys(one)))]

    def prompt(self, text: str) -> dict[str, Tensor]:
        """`pooled` (P,), `embeddings` (L, D) and `mask` (L,) of one text."""
        return self.prompts.get(self.prompt_key(text))

    def conditions(
        self, texts: Sequence[str], device: torch.device, dtype: torch.dtype, hide_padding: bool = False
    ) -> Conditions:
        """What the transformer is told of these texts; `hide_padding` gives it their masks too."""
        entries = [self.prompt(text) for text in texts]
        pooled, embeddings, mask = (
            torch.stack([entry[name] for entry in entries]) for name in ("pooled", "embeddings", "mask")
        )
        if self.zero_padding:
            embeddings = embeddings * mask[..., None]
        return Conditions(
            pooled.to(device, dtype, non_blocking=True),
            embeddings.to(device, dtype, non_blocking=True),
            mask.to(device, non_blocking=True) if hide_padding else None,
        )


def open_caches(settings: RunSettings) -> Caches:
    names = cache_names(settings)
    zero_padding = settings.objective.t5_padding == "zero"
    return Caches(TensorCache(names.latents), TensorCache(names.prompts), names, zero_padding)


@dataclass(frozen=True)
class MicroBatch:
    """Latents (B, C, H, W) float32 in the transformer's scale, and what the transformer is told of them.

    `mask` (B, 1, H, W) float32 weighs the loss, None where all of it counts; `keep` (B, tokens) bool: what
    TREAD must not leave out; `first_item`: how many items the run has had before this batch.
    """

    latents: Tensor
    conditions: Conditions
    mask: Tensor | None = None
    keep: Tensor | None = None
    is_regularisation: bool = False
    timestep_offset: float = 0.0
    first_item: int = 0


@dataclass(frozen=True)
class FeedRules:
    """`mask_probability` is that of segmentation masks; `hide_padding`: the transformer is given the prompts'
    masks; `all_references`: a picture has all its references at once, else one of them at a time.
    """

    caption_dropout: float
    mask_probability: float
    hide_padding: bool
    all_references: bool


@dataclass(frozen=True)
class Feed:
    """Endless micro-batches; `dice` draws posterior samples, dropped captions and the like, so that its state
    is the feed's.
    """

    batches: Batches
    caches: Caches
    entries: Mapping[str, DatasetEntry]
    rules: FeedRules
    dice: torch.Generator
    device: torch.device
    dtype: torch.dtype

    def __iter__(self) -> Iterator[MicroBatch]:
        for batch in self.batches:
            made = self.micro_batch(batch, self.batches.num_items - len(batch.items))
            self._read_ahead()
            yield made

    def _read_ahead(self) -> None:
        """The entries of the next batch are read while the model computes with this one."""
        batch = self.batches.upcoming()
        if batch is not None:
            names = self.caches.names
            self.caches.latents.expect(key for one in batch.items for key in names.picture_keys(one.picture))
            self.caches.prompts.expect(names.prompt_key(one.caption) for one in batch.items)

    def micro_batch(self, batch: Batch, first_item: int) -> MicroBatch:
        """The tensors of a batch; `first_item`: how many items the run has had before it."""
        dropped = torch.rand(len(batch.items), generator=self.dice) < self.rules.caption_dropout
        pictures = [item.picture for item in batch.items]
        texts = ["" if drop else item.caption for item, drop in zip(batch.items, dropped, strict=True)]
        latents = self._latents(pictures)
        conditions = self.caches.conditions(texts, self.device, self.dtype, self.rules.hide_padding)
        mask, keep = self._masks(pictures)
        entry = self.entries[batch.dataset]
        return MicroBatch(
            self._moved(latents),
            self._with_references(conditions, pictures, dropped),
            mask,
            keep,
            entry.is_regularisation,
            entry.timestep_offset,
            first_item,
        )

    def _latents(self, pictures: Sequence[Picture]) -> Tensor:
        """A fresh sample of each picture's posterior, (B, C, H, W) float32."""
        posteriors = [self.caches.latents.get(self.caches.latent_key(one)) for one in pictures]
        mean = torch.stack([p["mean"] for p in posteriors]).float()
        deviation = torch.stack([p["std"] for p in posteriors]).float()
        return mean + deviation * torch.randn(mean.shape, generator=self.dice)

    def _with_references(
        self, conditions: Conditions, pictures: Sequence[Picture], dropped: Tensor
    ) -> Conditions:
        """The references too, as the pipelines give them: the middle of the posterior. A dropped caption
        takes them away.
        """
        num_references = len(pictures[0].references)
        if num_references == 0 or dropped.all():
            return conditions
        chosen = range(num_references)
        if num_references > 1 and not self.rules.all_references:
            chosen = torch.randint(num_references, (1,), generator=self.dice).tolist()
        references = tuple(self._moved(self._references(pictures, number)) for number in chosen)
        kept = self._moved(~dropped) if dropped.any() else None
        return replace(conditions, references=references, reference_mask=kept)

    def _references(self, pictures: Sequence[Picture], number: int) -> Tensor:
        keys = [self.caches.names.reference_key(one, one.references[number]) for one in pictures]
        return torch.stack([self.caches.latents.get(key)["mean"] for key in keys]).float()

    def _masks(self, pictures: Sequence[Picture]) -> tuple[Tensor | None, Tensor | None]:
        """(the loss's mask, the tokens to keep); a picture without a mask counts as white for the loss."""
        if not any(one.mask for one in pictures):
            return None, None
        kinds = {one.mask.kind for one in pictures if one.mask}
        size = pictures[0].target_size
        planes = [self._mask_planes(one, (size[1] // 8, size[0] // 8)) for one in pictures]
        keep = F.avg_pool2d(torch.stack([grey for _, grey in planes]), PATCH).flatten(1) > 0.5
        mask = torch.stack([weights for weights, _ in planes])
        chance = self.rules.mask_probability
        if kinds == {"segmentation"} and torch.rand(1, generator=self.dice).item() >= chance:
            return None, self._moved(keep)
        return self._moved(mask), self._moved(keep)

    def _mask_planes(self, picture: Picture, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """((1, H, W) weights of the loss, (1, H, W) brightness that TREAD asks for), float32."""
        if picture.mask is None:
            return torch.ones(1, *size), torch.zeros(1, *size)
        red, grey = self.caches.latents.get(self.caches.names.mask_key(picture))["mask"].float().split(1)
        return (red if picture.mask.kind == "mask" else (grey > 0).float()), grey

    def _moved(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, non_blocking=True)

"""Phases 1 and 2: captions and pictures become cache entries, each by a model that lives only here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import groupby, islice
from typing import TypeVar

import torch
from PIL import Image

from tuner.dataset.cache import TensorCache
from tuner.dataset.decoding import Opened, open_all
from tuner.dataset.index import Picture, Size
from tuner.dataset.workers import ahead, are_few
from tuner.flux import latents as lat
from tuner.flux import loading, text
from tuner.plan import sources
from tuner.plan.memory import VAE_TILE_PX
from tuner.settings.run import RunSettings
from tuner.training.feed import Caches
from tuner.training.hardware import Hardware, free_memory
from tuner.training.models import load_text_encoders

T = TypeVar("T")
Entries = Iterator[tuple[TensorCache, str, dict[str, torch.Tensor]]]
"""(cache, key, what is to be put there)"""
TEXTS_A_READING = 64
"""Texts for which T5-XXL is read once layer by layer: 0.3 GB of embeddings wait between the layers."""


def encode_texts(
    settings: RunSettings,
    missing: Sequence[str],
    caches: Caches,
    hardware: Hardware,
    by_layer: bool = False,
) -> Iterator[int]:
    """Puts `pooled`, `embeddings` and `mask` of each text into the cache; yields how many it has just put.
    `by_layer`: T5-XXL is read one layer at a time, for many texts at once.
    """
    encoders = load_text_encoders(settings, hardware, by_layer)
    chunks = _chunks(missing, TEXTS_A_READING if by_layer else settings.dataset.text_encoder_batch_size)
    yield from _written(partial(_encoded_texts, encoders, caches), chunks)
    del encoders
    free_memory(hardware.device)


def _encoded_texts(encoders: text.TextEncoders, caches: Caches, chunk: list[str]) -> Entries:
    made = text.encode(chunk, encoders)
    for one, pooled, embeddings, mask in zip(chunk, made.pooled, made.embeddings, made.mask, strict=True):
        entry = {"pooled": pooled, "embeddings": embeddings, "mask": mask}
        yield caches.prompts, caches.prompt_key(one), entry


def encode_pictures(
    settings: RunSettings,
    missing: Sequence[Picture],
    caches: Caches,
    hardware: Hardware,
    singly: bool = False,
) -> Iterator[int]:
    """Puts `mean` and `std` (C, H/8, W/8) of each picture's posterior, in the transformer's scale, and those
    of its references, with its mask beside them; yields how many pictures it has just put. `singly`: one is
    encoded at a time.
    """
    size = 1 if singly else settings.dataset.vae_batch_size
    chunks = list(_same_size_chunks(missing, size, lambda picture: picture.target_size))
    pictures = [one for chunk in chunks for one in chunk]
    with ahead(open_all, pictures, here=are_few([one.path for one in pictures])) as opened:
        vae = load_vae(settings, hardware)
        yield from _written(partial(_encoded, vae, caches, opened, size), chunks)
    del vae
    free_memory(hardware.device)


def _encoded(
    vae: torch.nn.Module, caches: Caches, opened: Iterator[Opened], size: int, chunk: list[Picture]
) -> Entries:
    """Everything of pictures of one size, which come next in `opened`."""
    parts = list(islice(opened, len(chunk)))
    images = [(caches.latent_key(one), part.image) for one, part in zip(chunk, parts, strict=True)]
    yield from _latents(vae, caches, images)
    references = [
        (caches.names.reference_key(picture, one), image)
        for picture, part in zip(chunk, parts, strict=True)
        for one, image in zip(picture.references, part.references, strict=True)
    ]
    for group in _same_size_chunks(references, size, lambda pair: pair[1].size):
        yield from _latents(vae, caches, group)
    for picture, part in zip(chunk, parts, strict=True):
        if part.mask:
            yield caches.latents, caches.names.mask_key(picture), {"mask": _mask(part.mask)}


def _latents(vae: torch.nn.Module, caches: Caches, images: Sequence[tuple[str, Image.Image]]) -> Entries:
    """Images of one size, each under its key."""
    made = encode_images(vae, [image for _, image in images])
    for (key, _), mean, deviation in zip(images, *made, strict=True):
        yield caches.latents, key, {"mean": mean, "std": deviation}


def _written(encode: Callable[[list[T]], Entries], chunks: Iterable[list[T]]) -> Iterator[int]:
    """Writes what is made of each chunk on a thread, while the next one is encoded; yields the size of each
    chunk once it is written.
    """
    with ThreadPoolExecutor(1) as writer:
        writing: tuple[int, list[Future[None]]] = (0, [])
        for chunk in chunks:
            begun = len(chunk), [writer.submit(cache.put, key, entry) for cache, key, entry in encode(chunk)]
            yield from _finished(*writing)
            writing = begun
        yield from _finished(*writing)


def _finished(num_items: int, writes: Sequence[Future[None]]) -> Iterator[int]:
    for one in writes:
        one.result()
    if num_items:
        yield num_items


@torch.no_grad()
def encode_images(vae: torch.nn.Module, images: Sequence[Image.Image]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of the posterior of images of one size, each (B, C, H/8, W/8), in the transformer's
    scale.
    """
    batch = torch.stack([pixels(image) for image in images])
    posterior = vae.encode(batch.to(vae.device, vae.dtype)).latent_dist
    return lat.normalize(posterior.mean, vae.config), posterior.std * vae.config.scaling_factor


def load_vae(settings: RunSettings, hardware: Hardware) -> torch.nn.Module:
    """The VAE of these settings, in `vae_dtype`, with tiling and slicing as asked for."""
    dtype = torch.float32 if settings.model.vae_dtype == "fp32" else torch.bfloat16
    source = loading.Source(
        sources.vae_place(settings), "vae", settings.model.revision, settings.model.variant
    )
    vae = loading.vae(source, dtype, hardware.device)
    if settings.memory.vae_enable_tiling:
        vae.enable_tiling()
        vae.tile_sample_min_size, vae.tile_latent_min_size = VAE_TILE_PX, VAE_TILE_PX // 8
    if settings.memory.vae_enable_slicing:
        vae.enable_slicing()
    return vae


def pixels(image: Image.Image) -> torch.Tensor:
    """(3, H, W) float32 in -1..1 of an RGB picture."""
    return _bytes(image).permute(2, 0, 1).float() / 127.5 - 1


def _mask(image: Image.Image) -> torch.Tensor:
    """(2, H/8, W/8) float16 in 0..1: red, and the mean of red, green and blue, averaged over each cell.

    Every use of a mask follows from these two. In float16 the darkest speck of a cell, one step of one
    colour of one pixel, is still above 0.
    """
    colours = _bytes(image).float() / 255
    planes = torch.stack([colours[..., 0], colours.mean(-1)])
    return torch.nn.functional.avg_pool2d(planes, 8).half()


def _bytes(image: Image.Image) -> torch.Tensor:
    """(H, W, 3) uint8."""
    flat = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return flat.view(image.height, image.width, 3)


def _same_size_chunks(items: Sequence[T], count: int, size: Callable[[T], Size]) -> Iterator[list[T]]:
    for _, group in groupby(sorted(items, key=size), key=size):
        yield from _chunks(list(group), count)


def _chunks(items: Sequence[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])

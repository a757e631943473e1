"""Phases 1 and 2: captions and pictures become cache entries, each by a model that lives only here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TypeVar

import torch
from PIL import Image

from tuner.dataset.decoding import open_mask, open_picture, open_reference
from tuner.dataset.index import Picture, Size
from tuner.flux import latents as lat
from tuner.flux import loading, text
from tuner.plan import sources
from tuner.plan.memory import VAE_TILE_PX
from tuner.settings.run import RunSettings
from tuner.training.feed import Caches
from tuner.training.hardware import Hardware, free_memory
from tuner.training.models import load_text_encoders

T = TypeVar("T")


def encode_texts(
    settings: RunSettings, missing: Sequence[str], caches: Caches, hardware: Hardware
) -> Iterator[int]:
    """Puts `pooled`, `embeddings` and `mask` of each text into the cache; yields how many it has just put."""
    encoders = load_text_encoders(settings, hardware)
    for chunk in _chunks(missing, settings.dataset.text_encoder_batch_size):
        made = text.encode(chunk, encoders)
        for one, pooled, embeddings, mask in zip(chunk, made.pooled, made.embeddings, made.mask, strict=True):
            entry = {"pooled": pooled, "embeddings": embeddings, "mask": mask}
            caches.prompts.put(caches.prompt_key(one), entry)
        yield len(chunk)
    del encoders
    free_memory(hardware.device)


def encode_pictures(
    settings: RunSettings, missing: Sequence[Picture], caches: Caches, hardware: Hardware
) -> Iterator[int]:
    """Puts `mean` and `std` (C, H/8, W/8) of each picture's posterior, in the transformer's scale, and those
    of its references, with its mask beside them; yields how many pictures it has just put.
    """
    vae = load_vae(settings, hardware)
    size = settings.dataset.vae_batch_size
    for chunk in _same_size_chunks(missing, size, lambda picture: picture.target_size):
        _put_latents(vae, caches, {caches.latent_key(one): open_picture(one) for one in chunk})
        pairs = [(picture, one) for picture in chunk for one in picture.references]
        for group in _same_size_chunks(pairs, size, lambda pair: (pair[1].place or pair[0]).target_size):
            _put_latents(
                vae, caches, {caches.names.reference_key(*pair): open_reference(*pair) for pair in group}
            )
        for picture in chunk:
            if picture.mask:
                caches.latents.put(caches.names.mask_key(picture), {"mask": _mask(picture)})
        yield len(chunk)
    del vae
    free_memory(hardware.device)


def _put_latents(vae: torch.nn.Module, caches: Caches, images: Mapping[str, Image.Image]) -> None:
    """Encodes images of one size, each under its key."""
    for key, mean, deviation in zip(images, *encode_images(vae, list(images.values())), strict=True):
        caches.latents.put(key, {"mean": mean, "std": deviation})


@torch.no_grad()
def encode_images(vae: torch.nn.Module, images: Sequence[Image.Image]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of the posterior of images of one size, each (B, C, H/8, W/8), in the transformer's
    scale.
    """
    pixels = torch.stack([_pixels(image) for image in images])
    posterior = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist
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


def _pixels(image: Image.Image) -> torch.Tensor:
    """(3, H, W) float32 in -1..1 of an RGB picture."""
    return _bytes(image).permute(2, 0, 1).float() / 127.5 - 1


def _mask(picture: Picture) -> torch.Tensor:
    """(2, H/8, W/8) float16 in 0..1: red, and the mean of red, green and blue, averaged over each cell.

    Every use of a mask follows from these two. In float16 the darkest speck of a cell, one step of one
    colour of one pixel, is still above 0.
    """
    colours = _bytes(open_mask(picture)).float() / 255
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

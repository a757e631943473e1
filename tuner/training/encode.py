"""Phases 1 and 2: captions and pictures become cache entries, each by a model that lives only here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TypeVar

import torch

from tuner.dataset.decoding import open_picture
from tuner.dataset.index import Picture
from tuner.flux import latents as lat
from tuner.flux import loading, text
from tuner.plan import sources
from tuner.settings.run import RunSettings
from tuner.training.feed import Caches
from tuner.training.hardware import Hardware, free_memory

T = TypeVar("T")


def encode_texts(
    settings: RunSettings, missing: Sequence[str], caches: Caches, hardware: Hardware
) -> Iterator[int]:
    """Puts `pooled` and `embeddings` of each text into the cache; yields how many it has just put."""
    encoders = loading.text_encoders(
        sources.model_place(settings),
        settings.model.revision,
        hardware.dtype,
        hardware.device,
        sources.num_text_tokens(settings),
    )
    for chunk in _chunks(missing, settings.dataset.text_encoder_batch_size):
        pooled, embeddings = text.encode(chunk, encoders)
        for one, vector, rows in zip(chunk, pooled, embeddings, strict=True):
            caches.prompts.put(caches.prompt_key(one), {"pooled": vector.cpu(), "embeddings": rows.cpu()})
        yield len(chunk)
    del encoders
    free_memory(hardware.device)


def encode_pictures(
    settings: RunSettings, missing: Sequence[Picture], caches: Caches, hardware: Hardware
) -> Iterator[int]:
    """Puts `mean` and `std` (C, H/8, W/8) of each picture's posterior, in the transformer's scale; yields
    how many it has just put.
    """
    vae = load_vae(settings, hardware)
    for chunk in _same_size_chunks(missing, settings.dataset.vae_batch_size):
        pixels = torch.stack([_pixels(picture) for picture in chunk]).to(hardware.device, vae.dtype)
        with torch.no_grad():
            posterior = vae.encode(pixels).latent_dist
        means = lat.normalize(posterior.mean, vae.config).cpu()
        deviations = (posterior.std * vae.config.scaling_factor).cpu()
        for picture, mean, deviation in zip(chunk, means, deviations, strict=True):
            caches.latents.put(caches.latent_key(picture), {"mean": mean.clone(), "std": deviation.clone()})
        yield len(chunk)
    del vae
    free_memory(hardware.device)


def load_vae(settings: RunSettings, hardware: Hardware) -> torch.nn.Module:
    """The VAE of these settings, in `vae_dtype`, with tiling and slicing as asked for."""
    dtype = torch.float32 if settings.model.vae_dtype == "fp32" else torch.bfloat16
    source = loading.Source(sources.vae_place(settings), "vae", settings.model.revision)
    vae = loading.vae(source, dtype, hardware.device)
    if settings.memory.vae_enable_tiling:
        vae.enable_tiling()
    if settings.memory.vae_enable_slicing:
        vae.enable_slicing()
    return vae


def _pixels(picture: Picture) -> torch.Tensor:
    """(3, H, W) float32 in -1..1 of the resized and cropped picture."""
    image = open_picture(picture)
    flat = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return flat.view(image.height, image.width, 3).permute(2, 0, 1).float() / 127.5 - 1


def _same_size_chunks(pictures: Sequence[Picture], size: int) -> Iterator[list[Picture]]:
    ordered = sorted(pictures, key=lambda picture: picture.target_size)
    for _, group in groupby(ordered, key=lambda picture: picture.target_size):
        yield from _chunks(list(group), size)


def _chunks(items: Sequence[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])

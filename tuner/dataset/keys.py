"""Names of cached tensors: equal where the tensors would be, whatever files are called or where they lie."""

from __future__ import annotations

import hashlib
import json

from tuner.dataset.index import Companion, Picture, Placement, Size

RECIPE = 2
"""Raise it when decoding, resizing or tokenizing gives other numbers; old entries are then not found."""


def content_key(data: bytes) -> str:
    """The hash of a file's bytes."""
    return hashlib.blake2b(data, digest_size=20).hexdigest()


def latent_key(picture: Picture, vae_fingerprint: str) -> str:
    """The latents of one crop of one picture; the fingerprint names the VAE and the precision it runs in."""
    return _key("latents", picture.content, *_box(picture, picture), vae_fingerprint)


def reference_key(picture: Picture, reference: Companion, vae_fingerprint: str) -> str:
    """The latents of a reference picture as it goes with `picture`."""
    return _key("latents", reference.content, *_box(picture, reference.place or picture), vae_fingerprint)


def mask_key(picture: Picture) -> str:
    """The mask of a picture, cut as the picture is; raises ValueError where it has none."""
    if picture.mask is None:
        raise ValueError(f"{picture.path} has no mask")
    return _key("mask", picture.mask.content, picture.mask.kind, *_box(picture, picture))


def prompt_key(text: str, encoders_fingerprint: str) -> str:
    """The embeddings of one prompt; the fingerprint names encoders, precision and length in tokens."""
    return _key("prompt", text, encoders_fingerprint)


def _box(picture: Picture, place: Picture | Placement) -> tuple[Size, tuple[int, int], Size]:
    if place.crop_top_left is None:
        raise ValueError(f"the crop of {picture.path} has not been drawn; see geometry.settle")
    return place.resize_size, place.crop_top_left, place.target_size


def _key(*parts: object) -> str:
    # JSON keeps the borders between the parts: ("ab", "c") and ("a", "bc") must differ.
    return content_key(json.dumps([RECIPE, *parts]).encode())

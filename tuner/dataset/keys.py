"""Names of cached tensors: equal where the tensors would be, whatever files are called or where they lie."""

from __future__ import annotations

import hashlib
import json

from tuner.dataset.index import Picture

RECIPE = 1
"""Raise it when decoding, resizing or tokenizing gives other numbers; old entries are then not found."""


def content_key(data: bytes) -> str:
    """The hash of a file's bytes."""
    return hashlib.blake2b(data, digest_size=20).hexdigest()


def latent_key(picture: Picture, vae_fingerprint: str) -> str:
    """The latents of one crop of one picture; the fingerprint names the VAE and the precision it runs in."""
    if picture.crop_top_left is None:
        raise ValueError(f"the crop of {picture.path} has not been drawn; see geometry.settle")
    sizes = picture.resize_size, picture.crop_top_left, picture.target_size
    return _key("latents", picture.content, *sizes, vae_fingerprint)


def prompt_key(text: str, encoders_fingerprint: str) -> str:
    """The embeddings of one prompt; the fingerprint names encoders, precision and length in tokens."""
    return _key("prompt", text, encoders_fingerprint)


def _key(*parts: object) -> str:
    # JSON keeps the borders between the parts: ("ab", "c") and ("a", "bc") must differ.
    return content_key(json.dumps([RECIPE, *parts]).encode())

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tuner.dataset.index import Picture
from tuner.dataset.keys import content_key, latent_key, prompt_key

PICTURE = Picture(Path("a.png"), "set", "content", (200, 100), (128, 64), (64, 64), (0, 9), "1.0", ("a",))


@pytest.mark.parametrize(
    "change",
    [{"content": "other"}, {"resize_size": (130, 65)}, {"target_size": (128, 64)}, {"crop_top_left": (0, 8)}],
)
def test_the_latents_follow_the_pixels(change: dict[str, object]) -> None:
    assert latent_key(replace(PICTURE, **change), "vae") != latent_key(PICTURE, "vae")  # type: ignore[arg-type]


def test_the_latents_follow_nothing_else() -> None:
    same = replace(PICTURE, path=Path("b.jpg"), dataset="other", captions=("b",), original_size=(400, 200))
    assert latent_key(same, "vae") == latent_key(PICTURE, "vae")
    assert latent_key(PICTURE, "another vae") != latent_key(PICTURE, "vae")


def test_an_open_crop_has_no_key() -> None:
    with pytest.raises(ValueError, match="settle"):
        latent_key(replace(PICTURE, crop_top_left=None), "vae")


def test_prompts_follow_text_and_encoders() -> None:
    keys = {prompt_key(text, print) for text in ("", "a", "ab", "ä") for print in ("", "b", "bc")}
    assert len(keys) == 12
    assert prompt_key("a", "b") == prompt_key("a", "b")


def test_keys_are_names_for_files() -> None:
    for key in (latent_key(PICTURE, "vae"), prompt_key("a/b\\..", "x"), content_key(b"")):
        assert len(key) == 40 and set(key) <= set("0123456789abcdef")

from __future__ import annotations

import pytest

from tuner.settings.sampling import preview_sizes


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("64x64", ((64, 64),)),
        ("1024x768", ((1024, 768),)),
        ("256", ((256, 256),)),
        ("1", ((1024, 1024),)),
        ("0.25", ((512, 512),)),
        ("1000x500, 512", ((992, 496), (512, 512))),
    ],
)
def test_preview_sizes(text: str, sizes: tuple[tuple[int, int], ...]) -> None:
    assert preview_sizes(text) == sizes


@pytest.mark.parametrize("text", ["", "large", "1024x", "1024*768", "1024x768x2"])
def test_other_text_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="must look like 1024x768"):
        preview_sizes(text)

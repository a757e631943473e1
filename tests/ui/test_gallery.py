"""Pictures as tiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuner.dataset.doctor import Finding
from tuner.ui import gallery
from tuner.ui.thumbnails import Shown, Thumbnails


@pytest.fixture
def small(tmp_path) -> Thumbnails:
    return Thumbnails(tmp_path)


def test_a_tile_has_a_caption_and_badges(small) -> None:
    one = Shown(Path("/pictures/a&b.png"), "set", "abc", "a <cat>", used=False)
    told = [
        Finding(kind, "/pictures/a&b.png", "set", "It is.", left_out=True) for kind in ("no caption",) * 2
    ]
    made = gallery.tiles([one], told, small)
    assert 'data-act="/pictures/a&amp;b.png"' in made and 'class="tile unused"' in made
    assert "a &lt;cat&gt;</span>" in made and made.count("no caption") == 1
    assert f'src="{small.address(one)}"' in made and 'loading="lazy"' in made


def test_of_very_many_the_first_are_shown(small, monkeypatch) -> None:
    monkeypatch.setattr(gallery, "MOST", 3)
    made = gallery.tiles([Shown(Path(f"/{n}.png"), "set", f"{n}", "") for n in range(1200)], [], small)
    assert made.count("<button") == 3 and "The first 3 of 1,200 are shown" in made

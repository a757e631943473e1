"""`python -m tests.gallery SCREENS`: what tests/browser/test_looks.py drew, joined for the README, in docs/.

A tab is shown twice: light in a window beside dark on a phone, and the other way round.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from tests.house import ROOT

TABS = ("images", "recipe", "train", "results", "runs", "setup")
HEIGHT = 1000
GAP = 24
SCALE = 0.75


def pair(screens: Path, tab: str, theme: str) -> Image.Image:
    """Both cut to `HEIGHT`: the page goes on below."""
    other = {"light": "dark", "dark": "light"}[theme]
    parts = []
    for name in (f"{tab}-{theme}-1280", f"{tab}-{other}-390"):
        with Image.open(screens / f"{name}.png") as opened:
            parts.append(opened.convert("RGB").crop((0, 0, opened.width, min(opened.height, HEIGHT))))
    width = sum(part.width for part in parts) + GAP
    joined = Image.new("RGBA", (width, max(part.height for part in parts)))
    joined.paste(parts[0], (0, 0))
    joined.paste(parts[1], (parts[0].width + GAP, 0))
    return joined.resize((round(width * SCALE), round(joined.height * SCALE)), Image.Resampling.LANCZOS)


def main(arguments: Sequence[str]) -> int:
    screens = Path(arguments[0])
    for tab in TABS:
        for theme, name in (("light", tab), ("dark", f"{tab}-dark")):
            pair(screens, tab, theme).save(ROOT / "docs" / f"{name}.webp", quality=82, method=6)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

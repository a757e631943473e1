"""All pictures of the recipe as tiles, each with its caption and what is wrong with it; a click opens it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tuner.dataset.doctor import Finding
from tuner.ui import markup, wording
from tuner.ui.thumbnails import Shown, Thumbnails

MOST = 1000
"""A browser draws so many tiles without effort, since it loads their pictures as they come into view."""


def tiles(shown: Sequence[Shown], told: Sequence[Finding], thumbnails: Thumbnails) -> str:
    """The word of each tile is the path of its picture."""
    kinds: dict[str, list[Finding]] = {}
    for one in told:
        kinds.setdefault(one.file, []).append(one)
    each = "".join(_tile(one, kinds, thumbnails) for one in shown[:MOST])
    more = markup.quiet(wording.first_shown(MOST, len(shown))) if len(shown) > MOST else ""
    return f'<div class="tiles" role="group" aria-label="Pictures">{each}</div>{more}'


def _tile(one: Shown, told: Mapping[str, Sequence[Finding]], thumbnails: Thumbnails) -> str:
    badges = "".join(
        f'<span class="state {"bad" if left_out else "warn"}">{markup.text(kind)}</span>'
        for kind, left_out in {each.kind: each.left_out for each in told.get(str(one.path), ())}.items()
    )
    name, kind = markup.text(one.path.name), "tile" if one.used else "tile unused"
    return (
        f'<button type="button" class="{kind}" data-act="{markup.text(one.path)}" title="{name}">'
        f'<img src="{thumbnails.address(one)}" alt="{name}" loading="lazy">'
        f"{f'<span class=badges>{badges}</span>' if badges else ''}"
        f'<span class="caption">{markup.text(one.caption)}</span></button>'
    )

"""The routes of TREAD in plain values: which blocks see only a part of the picture, and how small a part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

_RATIO, _FIRST, _LAST = _KEYS = ("selection_ratio", "start_layer_idx", "end_layer_idx")


@dataclass(frozen=True)
class Route:
    """Blocks `first` to `last`, both included, work without `ratio` of the picture's tokens.

    Blocks are counted through the double and on through the single ones; below zero from the end.
    """

    ratio: float
    first: int
    last: int


class RoutesInvalid(ValueError):
    """One sentence; `mended` is the nearest `tread_config` without that fault, where there is one."""

    def __init__(self, sentence: str, mended: Mapping[str, Any] | None = None) -> None:
        super().__init__(sentence)
        self.mended = mended


def read(config: Mapping[str, Any]) -> tuple[Route, ...]:
    """The routes as they are written; raises RoutesInvalid."""
    routes = config.get("routes")
    if not isinstance(routes, Sequence) or isinstance(routes, str) or not routes:
        example = {_RATIO: 0.5, _FIRST: 2, _LAST: -2}
        raise RoutesInvalid(
            "'tread_config' holds no 'routes'; give a list with at least one, or take the key out.",
            {**config, "routes": [example]},
        )
    for key in config.keys() - {"routes"}:
        mended = {"routes": routes}
        raise RoutesInvalid(f"'tread_config' holds '{key}', which is unknown; take it out.", mended)
    return tuple(_read_one(config, number, route) for number, route in enumerate(routes))


def place(config: Mapping[str, Any], num_blocks: int) -> tuple[Route, ...]:
    """The routes in a transformer of `num_blocks` blocks, ascending and apart; raises RoutesInvalid."""
    routes = [_placed(config, number, route, num_blocks) for number, route in enumerate(read(config))]
    ordered = sorted(routes, key=lambda route: route.first)
    for one, following in pairwise(ordered):
        if following.first <= one.last:
            later = {_FIRST: one.last + 1}
            raise RoutesInvalid(
                f"'tread_config': the routes over blocks {one.first} to {one.last} and {following.first} to "
                f"{following.last} overlap; a block can be part of one route only.",
                _with(config, routes.index(following), later) if one.last < following.last else None,
            )
    return tuple(ordered)


def _placed(config: Mapping[str, Any], number: int, route: Route, num_blocks: int) -> Route:
    first, last = (at + num_blocks if at < 0 else at for at in (route.first, route.last))
    for key, at, given in ((_FIRST, first, route.first), (_LAST, last, route.last)):
        if not 0 <= at < num_blocks:
            raise RoutesInvalid(
                f"'tread_config': '{key}' is {given}; this transformer has the blocks 0 to {num_blocks - 1}.",
                _with(config, number, {key: 0 if at < 0 else num_blocks - 1}),
            )
    if first > last:
        raise RoutesInvalid(
            f"'tread_config': a route goes from block {first} back to block {last}; turn it round.",
            _with(config, number, {_FIRST: last, _LAST: first}),
        )
    return Route(route.ratio, first, last)


def _read_one(config: Mapping[str, Any], number: int, route: Any) -> Route:
    if not isinstance(route, Mapping):
        raise RoutesInvalid("'tread_config': each route must be an object in braces.")
    for key in sorted(route.keys() ^ set(_KEYS)):
        what = f"holds '{key}', which is unknown" if key in route else f"needs '{key}'"
        raise RoutesInvalid(f"'tread_config': route {number + 1} {what}; it must hold {', '.join(_KEYS)}.")
    for key, expected in _wrong_types(route):
        raise RoutesInvalid(f"'tread_config': '{key}' is {route[key]!r}; it must be {expected}.")
    ratio = route[_RATIO]
    if not 0 <= ratio <= 1:
        raise RoutesInvalid(
            f"'tread_config': '{_RATIO}' is {ratio:g}; it is the share that is left out, 0 to 1.",
            _with(config, number, {_RATIO: ratio / 100 if 1 < ratio <= 100 else 0.5}),
        )
    return Route(float(ratio), route[_FIRST], route[_LAST])


def _wrong_types(route: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    kinds = {
        _RATIO: (int | float, "a number"),
        _FIRST: (int, "a whole number"),
        _LAST: (int, "a whole number"),
    }
    for key, (kind, expected) in kinds.items():
        if isinstance(route[key], bool) or not isinstance(route[key], kind):
            yield key, expected


def _with(config: Mapping[str, Any], number: int, changed: Mapping[str, Any]) -> dict[str, Any]:
    routes = [dict(route) for route in config["routes"]]
    routes[number] |= changed
    return {**config, "routes": routes}

"""What may stand in `tread_config`, and what each fault is answered with."""

from __future__ import annotations

from typing import Any

import pytest

from tuner.flux.routes import Route, RoutesInvalid, place, read


def config(*routes: tuple[float, int, int]) -> dict[str, Any]:
    names = ("selection_ratio", "start_layer_idx", "end_layer_idx")
    return {"routes": [dict(zip(names, route, strict=True)) for route in routes]}


def test_the_guides_route_counts_from_the_end() -> None:
    assert place(config((0.5, 2, -2)), 57) == (Route(0.5, 2, 55),)
    assert place(config((0.5, 2, -2)), 7) == (Route(0.5, 2, 5),)


def test_the_order_in_the_file_does_not_matter() -> None:
    assert place(config((0.2, 20, 30), (0.5, 2, 19)), 57) == (Route(0.5, 2, 19), Route(0.2, 20, 30))


@pytest.mark.parametrize("ratio", [0, 1, 0.25])
def test_both_ends_of_the_ratio_are_legal(ratio: float) -> None:
    assert read(config((ratio, 0, 0)))[0].ratio == ratio


@pytest.mark.parametrize(
    ("wrong", "sentence", "mended"),
    [
        (
            config((0.5, 2, 57)),
            "'end_layer_idx' is 57; this transformer has the blocks 0 to 56",
            (0.5, 2, 56),
        ),
        (config((0.5, -58, 9)), "'start_layer_idx' is -58", (0.5, 0, 9)),
        (config((0.5, 9, 2)), "from block 9 back to block 2", (0.5, 2, 9)),
        (config((50, 2, 9)), "is 50; it is the share that is left out, 0 to 1", (0.5, 2, 9)),
        (config((-1, 2, 9)), "is -1;", (0.5, 2, 9)),
        ({}, "holds no 'routes'", (0.5, 2, -2)),
        ({"routes": []}, "holds no 'routes'", (0.5, 2, -2)),
        ({**config((0.5, 2, 9)), "rutes": 1}, "'rutes', which is unknown", (0.5, 2, 9)),
    ],
)
def test_a_fault_comes_with_the_change_that_mends_it(
    wrong: dict[str, Any], sentence: str, mended: tuple[float, int, int]
) -> None:
    with pytest.raises(RoutesInvalid, match=sentence) as refused:
        place(wrong, 57)
    assert refused.value.mended == config(mended)
    assert place(refused.value.mended, 57)


def test_routes_may_not_overlap() -> None:
    with pytest.raises(RoutesInvalid, match="blocks 2 to 9 and 9 to 12 overlap") as refused:
        place(config((0.5, 9, 12), (0.5, 2, 9)), 57)
    assert refused.value.mended == config((0.5, 10, 12), (0.5, 2, 9))
    with pytest.raises(RoutesInvalid, match="overlap") as inside:
        place(config((0.5, 2, 9), (0.5, 3, 4)), 57)
    assert inside.value.mended is None


@pytest.mark.parametrize(
    ("route", "sentence"),
    [
        (3, "must be an object"),
        ({"selection_ratio": 0.5}, "route 1 needs 'end_layer_idx'"),
        ({**config((0.5, 2, 9))["routes"][0], "speed": 1}, "holds 'speed', which is unknown"),
        (
            {**config((0.5, 2, 9))["routes"][0], "start_layer_idx": 2.5},
            "'start_layer_idx' is 2.5; it must be a whole",
        ),
        ({**config((0.5, 2, 9))["routes"][0], "selection_ratio": True}, "must be a number"),
    ],
)
def test_a_route_holds_three_numbers(route: Any, sentence: str) -> None:
    with pytest.raises(RoutesInvalid, match=sentence):
        read({"routes": [route]})

"""What may stand in a file or a form, and what a setting makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tuner.settings.fields import Kind, Spec
from tuner.settings.run import dataset_specs, specs
from tuner.settings.values import check, nearest, parse

BY_NAME = {spec.name: spec for spec in specs()}


def spec(kind: Kind, **others: object) -> Spec:
    return Spec("section", "name", kind, others.pop("default", None), "label", "help", **others)


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("bool", True, True),
        ("bool", "false", False),
        ("bool", " False ", False),
        ("bool", "yes", True),
        ("bool", "off", False),
        ("bool", 0, False),
        ("int", "20", 20),
        ("int", 16.0, 16),
        ("int", "1e3", 1000),
        ("float", "1e-4", 1e-4),
        ("float", 3, 3.0),
        ("str", "a text", "a text"),
        ("str", 1024, "1024"),
        ("texts", "one", "one"),
        ("texts", ["one", "two"], ("one", "two")),
        ("texts", '["one", "two"]', ("one", "two")),
        ("names", "to_k, to_q", ("to_k", "to_q")),
        ("names", ["to_k"], ("to_k",)),
        ("json", {"routes": []}, {"routes": []}),
        ("json", '{"routes": []}', {"routes": []}),
        ("list", [1.0, 2.0], (1.0, 2.0)),
    ],
)
def test_parse(kind: Kind, raw: object, value: object) -> None:
    assert parse(spec(kind), raw) == value


@pytest.mark.parametrize("raw", [None, "", "   "])
@pytest.mark.parametrize("kind", ["bool", "int", "str", "json"])
def test_unset_is_the_default(kind: Kind, raw: object) -> None:
    assert parse(spec(kind, default="the default"), raw) == "the default"


def test_an_empty_text_may_be_a_value() -> None:
    assert parse(BY_NAME["resume_from_checkpoint"], "") == ""
    assert parse(BY_NAME["resume_from_checkpoint"], None) == "latest"


@pytest.mark.parametrize(
    ("kind", "raw", "expected"),
    [
        ("bool", "maybe", "true or false"),
        ("int", 16.5, "a whole number"),
        ("int", True, "a whole number"),
        ("int", "x", "a whole number"),
        ("float", float("nan"), "a number"),
        ("float", [], "a number"),
        ("str", {}, "a text"),
        ("texts", [1], "a text or a list of texts"),
        ("names", "to_q,modules.json", "a list of names in brackets"),
        ("names", '{"a": 1}', "a list of names in brackets"),
        ("json", [1], "an object in braces"),
        ("json", "{", "an object in braces"),
        ("list", {"a": 1}, "a list in brackets"),
    ],
)
def test_a_wrong_type_says_what_was_expected(kind: Kind, raw: object, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        parse(spec(kind), raw)


def test_older_names_of_values() -> None:
    assert parse(BY_NAME["lr_scheduler"], "cosine_with_warmup") == "cosine"


def sentence(name: str, value: object) -> str:
    problem = check(BY_NAME[name], value)
    assert problem is not None
    assert problem.path == BY_NAME[name].path and problem.key == name and problem.value == value
    return problem.message


def test_a_misspelt_choice_is_named() -> None:
    problem = check(BY_NAME["optimizer"], "adamw_bf61")
    assert problem is not None
    assert problem.message == "'optimizer' is 'adamw_bf61', which is unknown. Did you mean 'adamw_bf16'?"
    assert problem.change == {"optimization.optimizer": "adamw_bf16"}


def test_an_unknown_choice_shows_the_choices() -> None:
    assert (
        sentence("grad_clip_method", "l7")
        == "'grad_clip_method' is 'l7', which is unknown; choose value or norm."
    )
    assert "for instance" in sentence("optimizer", "zzz")


def test_bounds() -> None:
    assert sentence("lora_rank", 0) == "'lora_rank' is 0; it must be at least 1."
    assert sentence("lora_dropout", 1.5) == "'lora_dropout' is 1.5; it must be at most 1."
    problem = check(BY_NAME["lora_dropout"], 1.5)
    assert problem is not None and problem.change == {"adapter.lora_dropout": 1}


REFUSED = Spec("here", "colour", "str", "red", "", "", built=("red",), why="the others are sold out")


@pytest.mark.parametrize(
    ("one", "value", "message"),
    [
        (REFUSED, "blue", "'colour' does not work here, because the others are sold out; leave it at red."),
        (
            replace(REFUSED, choices=("red", "green", "blue"), built=("red", "green")),
            "blue",
            "'colour': 'blue' does not work here, because the others are sold out; choose red or green.",
        ),
        (
            replace(REFUSED, kind="bool", default=False, built=(False,)),
            True,
            "'colour' does not work here, because the others are sold out; leave it at false.",
        ),
        (
            replace(REFUSED, kind="json", default=None, built=(None,)),
            {"a": 1},
            "'colour' does not work here, because the others are sold out; take it out.",
        ),
    ],
)
def test_what_does_not_work_is_refused_with_reason_and_way_back(one: Spec, value: Any, message: str) -> None:
    problem = check(one, value)
    assert problem is not None
    assert (problem.message, problem.change) == (message, {"here.colour": one.default})


def refused() -> list[Spec]:
    return [one for one in (*specs(), *dataset_specs()) if one.built is not None]


@pytest.mark.parametrize("one", [s for s in refused() if s.kind == "bool"], ids=lambda s: s.path)
def test_every_switch_that_does_not_work_is_refused(one: Spec) -> None:
    problem = check(one, not one.default)
    assert problem is not None and f"'{one.name}'" in problem.message


def test_nearest() -> None:
    assert nearest("lora_rnak", ["lora_rank", "seed"]) == "lora_rank"
    assert nearest("something else", ["lora_rank", "seed"]) is None

"""optimizer_config, read."""

from __future__ import annotations

import pytest

from tuner.optimizers.options import parse


def test_each_kind_of_value() -> None:
    text = "momentum=0.9, nesterov=true,k=6,eps=1e-8,max_lr=None,mode=auto,foreach=False"
    values = {"momentum": 0.9, "nesterov": True, "k": 6, "eps": 1e-8, "max_lr": None, "mode": "auto"}
    assert parse(text) == {**values, "foreach": False}
    assert isinstance(parse(text)["k"], int) and isinstance(parse("d=1.0")["d"], float)


@pytest.mark.parametrize("text", [None, "", " ", ",", " , "])
def test_nothing(text: str | None) -> None:
    assert parse(text) == {}


@pytest.mark.parametrize("text", ["momentum", "=0.9", "a b=1", "betas=0.9,0.99"])
def test_a_broken_entry_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="not of the form name=value"):
        parse(text)


def test_a_name_given_twice() -> None:
    with pytest.raises(ValueError, match="'k' twice"):
        parse("k=1,k=2")

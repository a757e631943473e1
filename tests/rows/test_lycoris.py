"""Every algorithm of LyCORIS, on a plain base and on a quantized one, from pictures to export."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rows.trial import check, refusal, train
from tuner.adapters import lycoris_catalog
from tuner.settings.run import RunSettings

WORDS = {
    **{word: row for row in lycoris_catalog.ALGORITHMS for word in (row.name, *row.aliases) if not row.why}
}
REFUSED = [row for row in lycoris_catalog.ALGORITHMS if row.why]


def lycoris(algo: str, **others: Any) -> dict[str, Any]:
    config = {"algo": algo, "multiplier": 1.0, "linear_dim": 4, "linear_alpha": 2, "factor": 4, **others}
    config["apply_preset"] = {"target_module": ["Attention", "FeedForward"]}
    return {"adapter.lora_type": "lycoris", "lycoris": config}


@pytest.mark.parametrize("word", WORDS)
def test_an_algorithm(word: str, settings: RunSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    check(train(settings, lycoris(word), monkeypatch))


@pytest.mark.parametrize("precision", ["int8-quanto", "int4-quanto", "nf4-bnb"])
@pytest.mark.parametrize("word", [word for word, row in WORDS.items() if not row.aliases or word == row.name])
def test_an_algorithm_on_a_quantized_base(
    word: str, precision: str, settings: RunSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = {**lycoris(word), "memory.base_model_precision": precision}
    if WORDS[word].why_quantized:
        assert WORDS[word].why_quantized in refusal(settings, change).message
    else:
        check(train(settings, change, monkeypatch))


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.name)
def test_an_algorithm_that_does_not_work(
    row: lycoris_catalog.LycorisAlgorithm, settings: RunSettings
) -> None:
    assert row.why in refusal(settings, lycoris(row.name)).message


@pytest.mark.parametrize(
    "others",
    [
        {"linear_dim": 10000},
        {"linear_dim": None, "full_matrix": True},
        {"decompose_both": True, "linear_dim": 1},
        {"dropout": 0.1, "rank_dropout": 0.1, "module_dropout": 0.1},
        {"dora_wd": True},
        {"bypass_mode": False},
        {"multiplier": 0.5},
    ],
    ids=lambda others: " ".join(others),
)
def test_options_of_lokr(
    others: dict[str, Any], settings: RunSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(train(settings, lycoris("lokr", **others), monkeypatch))


def test_a_lokr_that_starts_with_a_norm(settings: RunSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    change = {**lycoris("lokr", linear_dim=10000), "adapter.init_lokr_norm": 1e-3}
    check(train(settings, change, monkeypatch))

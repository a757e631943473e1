"""Every precision of the base model, from pictures to export, or its reason why not."""

from __future__ import annotations

import pytest

from tests.rows.trial import check, refusal, refused, train, works
from tuner.settings.run import RunSettings

BASE = "memory.base_model_precision"


@pytest.mark.parametrize("name", works(BASE))
def test_a_precision(name: str, settings: RunSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    check(train(settings, {BASE: name}, monkeypatch))


@pytest.mark.parametrize("name", refused(BASE))
def test_a_precision_that_does_not_work(name: str, settings: RunSettings) -> None:
    refusal(settings, {BASE: name})


@pytest.mark.parametrize("encoder", ["text_encoder_1_precision", "text_encoder_2_precision"])
@pytest.mark.parametrize("name", works("memory.text_encoder_2_precision"))
def test_a_precision_of_a_text_encoder(
    encoder: str, name: str, settings: RunSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(train(settings, {f"memory.{encoder}": name}, monkeypatch))


@pytest.mark.parametrize("name", works("model.mixed_precision"))
def test_a_compute_precision(name: str, settings: RunSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    check(train(settings, {"model.mixed_precision": name}, monkeypatch))

"""Every optimizer and every learning rate schedule, from pictures to export."""

from __future__ import annotations

import pytest

from tests.rows.trial import check, train
from tuner.optimizers import catalog, schedules
from tuner.settings.run import RunSettings


@pytest.mark.parametrize("name", catalog.names())
def test_an_optimizer(name: str, settings: RunSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    check(train(settings, {"optimization.optimizer": name}, monkeypatch))


@pytest.mark.parametrize("name", schedules.names())
def test_a_schedule(name: str, settings: RunSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    check(
        train(settings, {"optimization.lr_scheduler": name, "optimization.lr_warmup_steps": 1}, monkeypatch)
    )

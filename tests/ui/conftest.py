"""A desk over a real session in a folder of its own, with a model in name only and the playing trainer."""

from __future__ import annotations

import asyncio
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import player
from tests.house import ROOT
from tests.recipe import TRANSFORMER
from tuner.session import Session
from tuner.ui.desk import Desk

PATIENCE_SECONDS = 30


def in_loop(make):
    """What `make` returns; gradio finds an event loop there, where it would leave one of its own unclosed.

    In a thread of its own, since the browser of other tests keeps a loop going in the main one.
    """

    async def made():
        return make()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(made())).result()


@pytest.fixture
def model(tmp_path) -> Path:
    folder = tmp_path / "model"
    (folder / "transformer").mkdir(parents=True)
    (folder / "transformer" / "config.json").write_text(json.dumps(TRANSFORMER), encoding="utf-8")
    return folder


@pytest.fixture
def desk(tmp_path, model, monkeypatch):
    """The practice recipe of 6 steps."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(player, "STEP_SECONDS", 0.01)
    monkeypatch.setitem(sys.modules, "tuner.training.run", player)
    made = Desk(Session(tmp_path))
    made.draft.choose("practice")
    made.draft.change(
        {
            "model.pretrained_model_name_or_path": str(model),
            "optimization.max_train_steps": 6,
            "sampling.validation_step_interval": 3,
        }
    )
    yield made
    made.session.stop()
    made.session.join(PATIENCE_SECONDS)


@pytest.fixture
def finished(desk):
    """The desk after a whole run."""
    desk.start()
    desk.session.join(PATIENCE_SECONDS)
    assert desk.view.state == "finished"
    return desk

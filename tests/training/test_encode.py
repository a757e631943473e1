"""Encoding: what is missing and nothing else, the same by other processes, written whole."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.training.conftest import plan_of
from tuner.dataset import workers
from tuner.dataset.cache import TensorCache
from tuner.plan import sources
from tuner.plan.phases import Plan
from tuner.settings.run import RunSettings
from tuner.training.encode import encode_pictures, encode_texts
from tuner.training.feed import Caches, open_caches
from tuner.training.hardware import Hardware

FLOAT32 = Hardware(torch.device("cpu"), torch.float32)


@pytest.fixture
def own(settings: RunSettings, pictures: Path, tmp_path: Path) -> RunSettings:
    """The same settings with a copy of the pictures."""
    folder = Path(shutil.copytree(pictures, tmp_path / "pictures"))
    (dataset,) = settings.datasets
    return replace(settings, datasets=(replace(dataset, instance_data_dir=str(folder)),))


def fill(plan: Plan) -> tuple[Caches, int, int]:
    """(the caches, how many texts and pictures were encoded for them)"""
    caches, settings = open_caches(plan.settings), plan.settings
    texts = caches.missing_texts(sources.texts(settings, plan.index))
    images = caches.missing_pictures(plan.index.encoded)
    num_texts = sum(encode_texts(settings, texts, caches, FLOAT32)) if texts else 0
    return caches, num_texts, sum(encode_pictures(settings, images, caches, FLOAT32)) if images else 0


def test_an_edited_caption_and_an_edited_picture_alone_are_encoded(own: RunSettings) -> None:
    plan = plan_of(own)
    first = fill(plan)
    assert first[1:] == (len(sources.texts(own, plan.index)), len(plan.index.pictures))
    assert fill(plan_of(own))[1:] == (0, 0), "a second start encodes nothing"
    one = plan.index.pictures[0].path
    one.with_suffix(".txt").write_text("another caption of sks", encoding="utf-8")
    assert fill(plan_of(own))[1:] == (1, 0)
    with Image.open(one) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(one)
    assert fill(plan_of(own))[1:] == (0, 1)
    one.rename(one.with_name("renamed.png"))
    one.with_suffix(".txt").rename(one.with_name("renamed.txt"))
    assert fill(plan_of(own))[1:] == (0, 0), "a name changes nothing"


def test_other_processes_find_the_same(
    own: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _, _ = fill(plan_of(own))
    monkeypatch.setattr(workers, "FEW_FILES", 1)
    elsewhere = replace(own, dataset=replace(own.dataset, cache_dir=str(tmp_path / "other")))
    there, _, number = fill(plan_of(elsewhere))
    assert number == len(plan_of(own).index.pictures)
    for picture in plan_of(own).index.pictures:
        key = here.latent_key(picture)
        assert torch.equal(here.latents.get(key)["mean"], there.latents.get(key)["mean"])


def test_a_write_that_fails_ends_the_phase(own: RunSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TensorCache, "put", full)
    with pytest.raises(OSError, match="No space"):
        fill(plan_of(own))


def test_layer_by_layer_gives_the_same_prompts(own: RunSettings, tmp_path: Path) -> None:
    texts, found = ["one", "two sks", ""], []
    for by_layer in (False, True):
        chosen = replace(own, dataset=replace(own.dataset, cache_dir=str(tmp_path / str(by_layer))))
        caches = open_caches(chosen)
        assert sum(encode_texts(chosen, texts, caches, FLOAT32, by_layer)) == len(texts)
        found.append([caches.prompt(one) for one in texts])
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours["embeddings"], theirs["embeddings"])
        assert torch.allclose(ours["pooled"], theirs["pooled"], atol=1e-6)


def test_pictures_encoded_singly_are_the_same(own: RunSettings, tmp_path: Path) -> None:
    pictures = plan_of(own).index.encoded[:3]
    made = []
    for singly in (False, True):
        caches = open_caches(
            replace(own, dataset=replace(own.dataset, cache_dir=str(tmp_path / str(singly))))
        )
        assert sum(encode_pictures(own, pictures, caches, FLOAT32, singly)) == 3
        made.append([caches.latents.get(caches.latent_key(one))["mean"] for one in pictures])
    for together, alone in zip(*made, strict=True):
        assert torch.allclose(together, alone, atol=1e-5)

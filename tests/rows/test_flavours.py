"""Every flavour, from pictures to export, on a FLUX that takes a guidance value where the flavour does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rows.trial import check, train
from tuner.flux.catalog import FLAVOURS, Flavour
from tuner.settings.dataset import ImageDataset
from tuner.settings.run import RunSettings


@pytest.mark.parametrize("row", FLAVOURS, ids=lambda row: row.name)
def test_a_flavour(
    row: Flavour,
    settings: RunSettings,
    flux_without_guidance: Path,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change = {"model.model_flavour": row.name, "adapter.disable_assistant_lora": True}
    if not row.guidance_embeds:
        change["model.pretrained_model_name_or_path"] = str(flux_without_guidance)
    if row.takes_references:
        reference = ImageDataset(
            id="before",
            instance_data_dir=str(pictures),
            conditioning_type="reference_strict",
            source_dataset_id="pictures",
        )
        change["datasets"] = [*settings.datasets, reference]
    check(train(settings, change, monkeypatch))

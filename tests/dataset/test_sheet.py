from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tests.dataset.made import dataset, pictures, settings
from tuner.dataset.scan import scan
from tuner.dataset.sheet import sheet


def test_the_sheet_survives_json_and_says_all(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "b.png", size=(200, 100))
    pictures(tmp_path, "dot.png", size=(1, 1))
    asked = settings(dataset(tmp_path, crop=True, repeats=2))
    asked = replace(asked, optimization=replace(asked.optimization, max_train_steps=10))
    shown = json.loads(json.dumps(sheet(scan(asked), asked)))
    pictures_shown = shown.pop("pictures")
    assert shown == {
        "datasets": [
            {"id": "set", "samples_per_epoch": 6, "batches_per_epoch": 6, "buckets": {"64x64": 2}},
        ],
        "steps_per_epoch": 6,
        "max_train_steps": 10,
        "num_train_epochs": 2,
    }
    first, _, dot = pictures_shown
    assert first == {
        "file": str(tmp_path / "a.png"),
        "dataset": "set",
        "original_size": [200, 100],
        "resize_size": [128, 64],
        "target_size": [64, 64],
        "crop_top_left": None,
        "aspect_bucket": "1.0",
        "captions": ["a"],
        "mask": None,
        "reference": None,
        "excluded": None,
        "remarks": [],
    }
    assert dot.keys() == first.keys()
    assert dot["original_size"] == [1, 1] and dot["target_size"] is None and "too small" in dot["excluded"]

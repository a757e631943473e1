"""What an importer makes: our files as plain values, and the sentences about what stayed behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tuner.files.importers.foreign import dataset_id

NO_FOLDER = "datasets/my-subject"
"""Stands where no folder of pictures is named."""


@dataclass
class Recipe:
    config: dict[str, Any] = field(default_factory=dict)
    datasets: list[dict[str, Any]] = field(default_factory=list)
    library: dict[str, Any] = field(default_factory=dict)
    lycoris: dict[str, Any] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    name: str = ""

    def add_pictures(
        self,
        folder: str,
        times: float = 1,
        trigger: str = "",
        *,
        resolution: float | None = None,
        regular: bool = False,
        shuffle: bool = False,
    ) -> dict[str, Any]:
        """A folder whose pictures are seen `times` an epoch; captions lie beside them, else the trigger is
        their caption.
        """
        entry: dict[str, Any] = {
            "id": dataset_id(folder or NO_FOLDER, [one["id"] for one in self.datasets]),
            "type": "local",
            "instance_data_dir": folder or NO_FOLDER,
            "caption_strategy": "textfile",
            "repeats": max(round(times) - 1, 0),
        }
        if trigger:
            entry["instance_prompt"] = trigger
        if resolution:
            entry |= {"resolution": round(resolution), "resolution_type": "pixel_area"}
        if regular:
            entry["is_regularisation_data"] = True
        if shuffle:
            entry["caption_shuffle"] = {"enable": True}
        self.datasets.append(entry)
        return entry

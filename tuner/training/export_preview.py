"""What the exported file itself draws, on the model as ComfyUI will use it, beside what training drew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tuner import files
from tuner.export.acting import acting
from tuner.export.comfyui import Install
from tuner.files.run_folder import EMA_ADAPTER_FILE
from tuner.training.drawing import Scene, scene
from tuner.training.exporting import Finished
from tuner.training.picture_files import keep
from tuner.training.previews import EMA, render, render_changed

VISIBLE = 0.02
"""From this mean difference on, two pictures do not look the same side by side."""


@dataclass(frozen=True)
class ExportPreview:
    """`ours` is what the adapter made in training, `theirs` what `file` makes of the same words and noise, on
    a base in `precision`; `distance` is the mean difference of their pixels, 0..1.
    """

    file: Path
    ours: Path
    theirs: Path
    distance: float
    precision: str
    trained_on: str

    @property
    def sentence(self) -> str:
        far = f"they differ by {self.distance:.1%} on average"
        if self.distance < VISIBLE:
            return f"The file draws what the training drew: {far}."
        why = (
            f" It was trained on {_said(self.trained_on)}, and ComfyUI will use {_said(self.precision)}."
            if self.trained_on != self.precision
            else " The same words, noise and precision should draw the same: was the model changed since?"
        )
        return f"The pictures are not the same: {far}.{why}"


def preview_export(
    finished: Finished, file: Path, install: Install | None = None, sample: str | None = None
) -> ExportPreview:
    """Draws a run's sample with `file`, which was exported of `finished`, as its workflow will; and with the
    checkpoint, where training has no picture of just that. Raises TunerError.
    """
    shown = scene(finished.settings, finished.folder, finished.step, file.name, install, sample)
    precision = shown.drawing.models.precision
    as_there = files.changed(
        finished.settings,
        {
            "memory.base_model_precision": precision,
            "memory.block_streaming": "auto",
            "memory.modulation_eviction": "auto",
        },
    )
    request, folder = shown.request(), finished.folder.exports
    (theirs,) = render_changed(as_there, [request], acting(file, shown.drawing.strength))
    made = keep(theirs, folder, f"{file.stem}-file.png")
    ours = _own(finished, shown)
    if ours is None:
        (own,) = render(finished.settings, [request], finished.checkpoint / finished.file)
        ours = keep(own, folder, f"{file.stem}-training.png")
    trained_on = finished.settings.memory.base_model_precision
    return ExportPreview(file, ours, made, distance(ours, made), precision, trained_on)


def distance(first: Path, second: Path) -> float:
    """The mean difference of two pictures of one size, by colour; 0 for the same, 1 for black and white."""
    pixels = []
    for path in (first, second):
        with Image.open(path) as image:
            pixels.append(np.asarray(image.convert("RGB"), np.float32))
    return float(np.abs(pixels[0] - pixels[1]).mean() / 255)


def _own(finished: Finished, shown: Scene) -> Path | None:
    """The sample that training drew of exactly this: step, strength, and adapter or its running mean."""
    of_mean = shown.name.endswith(f"({EMA})")
    same = shown.as_drawn and of_mean == (finished.file == EMA_ADAPTER_FILE)
    return shown.picture if same else None


def _said(precision: str) -> str:
    return "the whole model" if precision == "no_change" else precision

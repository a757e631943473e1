"""A prompt that comes to somebody's mind, drawn with a finished adapter."""

from __future__ import annotations

from pathlib import Path

from tuner.settings.request import SampleRequest
from tuner.training.exporting import Finished
from tuner.training.picture_files import keep
from tuner.training.previews import render


def draw_prompt(finished: Finished, request: SampleRequest) -> Path:
    """-> the picture, among the run's exports; as large and with as many steps as its previews, unless the
    request says otherwise.
    """
    (picture,) = render(finished.settings, [request], finished.checkpoint / finished.file)
    return keep(picture, finished.folder.exports, f"try-{finished.step:06}.png")

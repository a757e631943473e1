"""Earlier runs: their views in brief, each read again only when its journal has changed, their last sample
made small, and how fast they went.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile

from PIL import Image

from tuner import files
from tuner.errors import TunerError
from tuner.files.run_folder import RunFolder
from tuner.session import read_run
from tuner.settings.run import RunSettings
from tuner.view import RunView

log = logging.getLogger(__name__)

MAX_LOOKED_AT = 10
THUMBNAIL_PX = 128


class History:
    def __init__(self) -> None:
        self._views: dict[Path, tuple[int, RunView]] = {}
        self._loads: dict[Path, tuple[int, object]] = {}

    def view(self, run: Path) -> RunView:
        """The brief view of a run that nobody executes now; that of no run where it was never started."""
        if not RunFolder(run).events.is_file():
            return RunView(run=run.name)
        changed = RunFolder(run).events.stat().st_mtime_ns
        if run not in self._views or self._views[run][0] != changed:
            self._views[run] = (changed, read_run(run, brief=True))
        return self._views[run][1]

    def pace(self, settings: RunSettings, runs: Iterable[Path]) -> float | None:
        """Seconds a step of the latest of `runs` that had the same model and the same load, or None."""
        load = _load(settings)
        for run in list(runs)[:MAX_LOOKED_AT]:
            pace = self.view(run).seconds_per_step
            if pace is not None and self._load(run) == load:
                return pace
        return None

    def _load(self, run: Path) -> object:
        """That of its settings, which are read again only when its journal has changed."""
        changed = RunFolder(run).events.stat().st_mtime_ns
        if run not in self._loads or self._loads[run][0] != changed:
            self._loads[run] = (changed, _load_of(run))
        return self._loads[run][1]


def thumbnail(view: RunView, folder: Path) -> Path | None:
    """A small copy of the last sample in `folder`, made once; None where there is no sample."""
    sample = Path(view.samples[-1].path) if view.samples else None
    if sample is None or not sample.is_file():
        return None
    stat = sample.stat()
    name = hashlib.blake2b(f"{sample.resolve()} {stat.st_mtime_ns} {stat.st_size}".encode(), digest_size=16)
    path = folder / f"run-{name.hexdigest()}.webp"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with Image.open(sample) as opened:
            small = opened.convert("RGB")
        small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        with NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as beside:
            small.save(beside, "WEBP", quality=85)
        os.replace(beside.name, path)
    return path


def _load_of(run: Path) -> object:
    """None for a run whose settings cannot be read any more: it tells nothing."""
    try:
        return _load(files.load_all(RunFolder(run).config).settings)
    except TunerError as error:
        log.info("%s tells nothing about the time a step takes: %s", run, error)
        return None


def _load(settings: RunSettings) -> object:
    """What decides how long a step takes, apart from the computer."""
    asked = settings.optimization
    return (
        settings.model.pretrained_model_name_or_path,
        settings.model.model_flavour,
        settings.model.mixed_precision,
        settings.memory.base_model_precision,
        settings.memory.gradient_checkpointing,
        asked.train_batch_size * asked.gradient_accumulation_steps,
        [one.resolution or settings.dataset.resolution for one in settings.active_datasets],
    )

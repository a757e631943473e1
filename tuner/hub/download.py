"""What a model's download consists of, and the download itself as a process that can be stopped and go on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from huggingface_hub import HfApi, try_to_load_from_cache

from tuner.errors import Advice, DiskFull, TunerError
from tuner.hub.access import asked
from tuner.hub.found import cache_folder
from tuner.machine import GB

FOLDERS = ("scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "transformer", "vae")
_ENDINGS = (".json", ".txt", ".model", ".safetensors")
SPARE_GB = 1.0

State = Literal["idle", "running", "stopped", "failed", "done"]


@dataclass(frozen=True)
class File:
    """One file of the repository; `speed` is in bytes a second, over the last while."""

    name: str
    num_bytes: int
    done: int = 0
    speed: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        return (
            (self.num_bytes - self.done) / self.speed if self.speed and self.done < self.num_bytes else None
        )


def wanted(repository: str, with_transformer: bool = True) -> tuple[File, ...]:
    """The files that a run reads, with their sizes; those that are here already count as done.

    Raises TunerError where Hugging Face says no or nothing.
    """
    info = asked(lambda: HfApi().model_info(repository, files_metadata=True), repository)
    folders = [name for name in FOLDERS if with_transformer or name != "transformer"]
    files = []
    for one in info.siblings or ():
        folder, _, rest = one.rfilename.rpartition("/")
        if (folder in folders and rest.endswith(_ENDINGS)) or one.rfilename == "model_index.json":
            here = isinstance(try_to_load_from_cache(repository, one.rfilename), str)
            size = one.size or 0
            files.append(File(one.rfilename, size, size if here else 0))
    return tuple(files)


def require_space(files: Sequence[File], free_bytes: int | None = None) -> None:
    """Raises DiskFull where the files do not fit on the disk with the Hugging Face cache."""
    folder = cache_folder()
    if free_bytes is None:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free_bytes = shutil.disk_usage(there).free
    needed = sum(one.num_bytes - one.done for one in files) / GB + SPARE_GB
    if needed > free_bytes / GB:
        raise DiskFull(
            f"The download needs {needed:.1f} GB; {free_bytes / GB:.1f} GB are free where '{folder}' lies.",
            Advice("Free some space, or start the app with HF_HOME set to a folder on another disk."),
        )


class Download:
    """One at a time. `files` is replaced as a whole; `problem` says why it failed."""

    def __init__(self) -> None:
        self.repository = ""
        self.files: tuple[File, ...] = ()
        self.state: State = "idle"
        self.problem = ""
        self._process: subprocess.Popen[str] | None = None

    def start(self, repository: str, files: Sequence[File]) -> None:
        """Fetch what is not here yet, in the background; what came before goes on where it stopped."""
        if self.state == "running":
            raise TunerError(f"'{self.repository}' is being downloaded.", Advice("Stop that first."))
        require_space(files)
        self.repository, self.files, self.problem = repository, tuple(files), ""
        missing = [one.name for one in files if one.done < one.num_bytes]
        self.state = "running" if missing else "done"
        if missing:
            command = [sys.executable, "-m", "tuner.hub.fetch", repository, *missing]
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
            threading.Thread(target=self._follow, args=(self._process,), name="download", daemon=True).start()

    def stop(self) -> None:
        """What has come so far is kept."""
        if self._process is not None and self.state == "running":
            self.state = "stopped"
            self._process.terminate()

    def _follow(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        started: dict[str, tuple[float, int]] = {}
        with process.stdout as lines:
            for line in lines:
                words = json.loads(line)
                if "error" in words:
                    self.problem = words["error"]
                else:
                    self._hear(words["file"], words["num_bytes"], started)
        ended = process.wait()
        if self.state == "running":
            self.state = "failed" if ended else "done"

    def _hear(self, name: str, num_bytes: int, started: dict[str, tuple[float, int]]) -> None:
        now = time.monotonic()
        begun, before = started.setdefault(name, (now, num_bytes))
        speed = (num_bytes - before) / (now - begun) if now > begun else 0.0
        self.files = tuple(
            replace(one, done=min(num_bytes, one.num_bytes), speed=speed) if one.name == name else one
            for one in self.files
        )

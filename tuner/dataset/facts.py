"""What picture files are by themselves: their bytes and sizes, or the reasons why they cannot be used.

Many files are read by worker processes, so that the page stays usable, and what was found is remembered.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import astuple, dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import imagehash
import PIL

from tuner.dataset import decoding, signs, workers
from tuner.dataset.decoding import PictureBroken
from tuner.dataset.index import Size
from tuner.dataset.keys import RECIPE, content_key
from tuner.dataset.signs import Signs, signs_of
from tuner.dataset.workers import ahead, are_few

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int]
"""(size in bytes, time of the last change of the content, of the file itself) in nanoseconds."""


@dataclass(frozen=True)
class Facts:
    """Whatever a dataset makes of it: the hash of the bytes, the size of the upright picture, and what the
    doctor looks for.
    """

    content: str
    size: Size
    signs: Signs = Signs()

    @property
    def chance(self) -> float:
        """In [0, 1), always the same for the same bytes."""
        return int(self.content[:8], 16) / 2**32


def unheard(done: int) -> None:
    """Where nobody asks how far it is."""


def facts_of(
    files: Sequence[Path], memory: Path, report: Callable[[int], None] = unheard
) -> dict[Path, Facts | str]:
    """The facts of each file; of a file that did not change since they were written to the file `memory`,
    those that stand there. What a few files say is kept in this process alone.

    `report` hears how many files are done; where it raises, what is known by then is remembered.
    """
    stamps = {path: _stamp(path) for path in files}
    if are_few(files):
        return {path: _recent(path, stamp) if stamp else examine(path) for path, stamp in stamps.items()}
    found: dict[Path, Facts | str] = {**_remembered(memory, stamps)}
    unknown = [path for path in files if path not in found]
    report(len(found))
    try:
        with _examined(unknown) as examined:
            for path, facts in zip(unknown, examined, strict=True):
                found[path] = facts
                report(len(found))
    finally:
        found = {path: found[path] for path in files if path in found}
        if unknown:
            _remember(memory, found, stamps)
    return found


@lru_cache(maxsize=5 * workers.FEW_FILES)
def _recent(path: Path, _: Stamp) -> Facts | str:
    """After an edited caption the pictures beside it need not be decoded again."""
    return examine(path)


def examine(path: Path) -> Facts | str:
    """Reads and decodes a file to its last byte; a text is the reason why it cannot be used."""
    if path.suffix.lower() in decoding.UNOPENED:
        kind = decoding.UNOPENED[path.suffix.lower()]
        return f"Files of the {kind} kind are not opened here; save it as PNG, JPEG or WebP."
    try:
        data = path.read_bytes()
        image, turned = decoding.inspected(data)
        return Facts(content_key(data), image.size, signs_of(image, turned))
    except PictureBroken as broken:
        return broken.message
    except OSError as error:
        return f"The file cannot be opened ({error.strerror})."


def _examined(files: Sequence[Path]) -> AbstractContextManager[Iterator[Facts | str]]:
    return ahead(examine, files, group=max(1, min(32, len(files) // workers.MOST_WORKERS)))


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:  # `examine` says why
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _remembered(memory: Path, stamps: Mapping[Path, Stamp | None]) -> dict[Path, Facts]:
    """Only what still holds; nothing where the memory is damaged, or other decoders wrote it."""
    try:
        document = json.loads(memory.read_text(encoding="utf-8"))
        entries = document["files"] if document["recipe"] == _recipe() else {}
        known = {path: entries[str(path)] for path in stamps if str(path) in entries}
        return {
            path: _revived(*facts) for path, (stamp, *facts) in known.items() if stamps[path] == tuple(stamp)
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _revived(content: str, size: Sequence[int], found: Sequence[Any]) -> Facts:
    """From JSON, which knows no tuples."""
    (width, height), (fingerprint, blur, (left, top, right, bottom), turned) = size, found
    return Facts(content, (width, height), Signs(fingerprint, blur, (left, top, right, bottom), turned))


def _remember(memory: Path, found: Mapping[Path, Facts | str], stamps: Mapping[Path, Stamp | None]) -> None:
    """Written beside and renamed. What is broken is not kept: it is looked at again."""
    files = {
        str(path): [stamps[path], *astuple(facts)]
        for path, facts in found.items()
        if isinstance(facts, Facts)
    }
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=memory.parent, suffix=".part", delete=False) as beside:
            json.dump({"recipe": _recipe(), "files": files}, beside)
        os.replace(beside.name, memory)
    except OSError as error:
        log.warning(
            "The pictures will be read anew the next time: '%s' cannot be written (%s).", memory, error
        )


def _recipe() -> str:
    """Other decoders may see other sizes."""
    return f"{RECIPE}, Pillow {PIL.__version__}, signs {signs.VERSION}, imagehash {imagehash.__version__}"

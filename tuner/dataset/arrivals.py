"""Files that were dropped on the page: pictures, captions and ZIPs of them become a folder to learn from."""

from __future__ import annotations

import re
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO
from zipfile import ZipFile, ZipInfo

from tuner.dataset import decoding
from tuner.errors import TunerError

PICTURES, TEXTS = decoding.EXTENSIONS, frozenset({".txt"})
MOST_FILES, MOST_GB = 20_000, 20
MOST_TEXT = 1_000_000
"""Bytes of one caption."""
PIECE = 1 << 20
NOT_IN_NAMES = re.compile(r'[\x00-\x1f<>:"|?*]')
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Windows' names for devices."""


@dataclass
class Taken:
    """What came in, by the names in the folder, and what was left out, each with its reason."""

    pictures: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    num_bytes: int = 0


class Unwanted(TunerError):
    """The message is one sentence on why a file stays out."""


def take(files: Sequence[Path], folder: Path) -> Taken:
    """Copies pictures and captions into `folder`, those of ZIP files with their subfolders.

    Nothing that is there is overwritten. Raises OSError where the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    taken = Taken()
    for file in files:
        if file.suffix.lower() == ".zip":
            _unpack(file, folder, taken)
        else:
            with file.open("rb") as data:
                _receive(file.name, file.stat().st_size, data, folder, taken)
    return taken


def _unpack(archive: Path, folder: Path, taken: Taken) -> None:
    try:
        with ZipFile(archive) as opened:
            for member in opened.infolist():
                if not member.is_dir():
                    _extract(opened, member, folder, taken)
    except zipfile.BadZipFile as error:
        taken.left_out.append((archive.name, f"It is no ZIP file that can be read ({error})."))


def _extract(archive: ZipFile, member: ZipInfo, folder: Path, taken: Taken) -> None:
    if stat.S_ISLNK(member.external_attr >> 16):
        taken.left_out.append((member.filename, "It is a link."))
        return
    try:
        with archive.open(member) as data:
            _receive(member.filename, member.file_size, data, folder, taken)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
        taken.left_out.append((member.filename, f"It cannot be unpacked ({error})."))


def _receive(name: str, size: int, data: IO[bytes], folder: Path, taken: Taken) -> None:
    """One file under the name that it has or, in a ZIP, asks for."""
    if _is_clutter(name):
        return
    try:
        relative = _safe(name)
        kind = _kind(relative, size, taken)
        target = folder / relative
        if target.exists():
            raise Unwanted("A file of this name is there already.")
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy(data, target, size)
    except Unwanted as reason:
        taken.left_out.append((name, reason.message))
        return
    taken.num_bytes += size
    kind.append(relative.as_posix())


def _kind(relative: PurePosixPath, size: int, taken: Taken) -> list[str]:
    """The list that it belongs to; raises Unwanted."""
    if len(taken.pictures) + len(taken.captions) >= MOST_FILES:
        raise Unwanted(f"There are more than {MOST_FILES:,} files.")
    if taken.num_bytes + size > MOST_GB * 1e9:
        raise Unwanted(f"Together the files are larger than {MOST_GB} GB.")
    ending = relative.suffix.lower()
    if ending in PICTURES:
        return taken.pictures
    if ending not in TEXTS:
        raise Unwanted("It is neither a picture nor a caption.")
    if size > MOST_TEXT:
        raise Unwanted("It is too large for a caption.")
    return taken.captions


def _copy(data: IO[bytes], target: Path, size: int) -> None:
    """Never more than `size`, whatever a ZIP says about itself; half a file does not stay."""
    part = target.with_name(".fluxtuner.part")
    try:
        with part.open("wb") as out:
            for piece in iter(lambda: data.read(PIECE), b""):
                out.write(piece)
                if out.tell() > size:
                    raise Unwanted("It is larger than it says.")
        shutil.move(part, target)
    finally:
        part.unlink(missing_ok=True)


def _is_clutter(name: str) -> bool:
    """What systems put into ZIPs for themselves."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return "__MACOSX" in parts or any(part.startswith(".") and part.strip(".") for part in parts)


def _safe(name: str) -> PurePosixPath:
    """A path that stays inside its folder and that every system can write; raises Unwanted."""
    path = PurePosixPath(unicodedata.normalize("NFC", name.replace("\\", "/")))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
        raise Unwanted("Its name points out of the folder.")
    return PurePosixPath(*_parts(path))


def _parts(path: PurePosixPath) -> Iterator[str]:
    for part in path.parts:
        clean = NOT_IN_NAMES.sub("_", part).rstrip(". ")
        if not clean or len(clean.encode()) > 255:
            raise Unwanted("Its name is empty or too long.")
        yield f"_{clean}" if RESERVED.fullmatch(clean) else clean

"""Where a file goes: under a name that every program lists, never over another file, whole or not there."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tuner.errors import Advice, DiskFull, TunerError

_FORBIDDEN = re.compile(r'[\\/:*?"<>|\x00-\x1f]')  # in a file name, on one system or another
_COPIED_AT_ONCE = 1 << 22  # bytes


def checked(to: Path) -> Path:
    """Refuses names that ComfyUI does not list, or that another system cannot write."""
    if to.suffix != ".safetensors" or _FORBIDDEN.search(to.name):
        raise TunerError(
            f"'{to.name}' cannot be the name of an export.",
            Advice('Choose a name that ends in .safetensors and holds none of \\ / : * ? " < > |.'),
        )
    if not to.parent.is_dir():
        raise TunerError(
            f"The folder '{to.parent}' does not exist.",
            Advice("Create it first, or choose a name without a slash."),
        )
    return to


def free_name(name: str, *folders: Path) -> str:
    """`name`, or the first of `<stem>-2`, `<stem>-3` ... that none of the folders holds; programs keep what
    they read by its path.
    """
    wanted = Path(name)
    names = (name if number == 1 else f"{wanted.stem}-{number}{wanted.suffix}" for number in count(1))
    return next(one for one in names if not any(os.path.lexists(folder / one) for folder in folders))


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name beside `path` that no program lists, for a file or a folder to be written; renamed at the end,
    gone after an error.

    What the disk says against it is raised as a sentence.
    """
    half = path.with_name(f".{path.name}.part")
    try:
        yield half
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        os.replace(half, path)
    except OSError as error:
        raise _in_words(error, path) from error
    finally:
        if half.is_dir():
            shutil.rmtree(half)
        else:
            half.unlink(missing_ok=True)


def copy(source: Path, to: Path) -> None:
    """A copy of a file, on the disk when this returns."""
    with whole(to) as half, source.open("rb") as original, half.open("wb") as file:
        while piece := original.read(_COPIED_AT_ONCE):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def write(data: bytes, to: Path) -> None:
    """A small file, the same way."""
    with whole(to) as half:
        half.write_bytes(data)


def _in_words(error: OSError, path: Path) -> TunerError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            f"The disk with '{path.parent}' is full, so the export was not written.",
            Advice("Free some space, or choose a folder on another disk."),
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return TunerError(
            f"The folder '{path.parent}' may not be written to.", Advice("Choose another folder.")
        )
    return TunerError(f"'{path}' could not be written: {error.strerror}.", Advice("Choose another place."))

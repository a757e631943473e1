"""A short text that changes when a part of a model changes: caches carry it in their keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def fingerprint(source: str, part: str, revision: str | None = None) -> str:
    """Of subfolder `part` of a model folder: names, sizes and times of its files; of a hub name: the name
    itself.

    Sizes and times instead of contents, since a real text encoder has 10 GB.
    """
    folder = Path(source)
    if not folder.is_dir():
        return _short(f"{source}@{revision or ''}/{part}")
    return of_files((p for p in (folder / part).rglob("*") if p.is_file()), folder)


def of_files(files: Iterable[Path], folder: Path) -> str:
    """Of the names inside `folder`, the sizes and the times of these files."""
    facts = [f"{p.relative_to(folder)} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in sorted(files)]
    return _short("\n".join(facts))


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()

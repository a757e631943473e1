"""`python -m tuner.hub.fetch REPOSITORY FILE...`: downloads into the Hugging Face cache, told line by line.

A process of its own: it can be ended at any moment, and what has come so far is kept for the next time.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.utils._headers import build_hf_headers
from tqdm import tqdm

from tuner.errors import Advice, TunerError, told
from tuner.flux import single_file
from tuner.flux.headers import entries
from tuner.hub.access import asked
from tuner.hub.found import cache_folder

EVERY_SECONDS = 0.25
SHA256_DIGITS = 64
"""A large file's tag is its checksum."""


class _Told(tqdm):  # type: ignore[misc]
    """A progress bar that is not drawn: it says how many bytes are there."""

    file = ""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "disable": True})
        self.n = options.get("initial") or 0
        self._said_at = 0.0

    def update(self, n: float | None = 1) -> None:
        self.n += n or 0
        if time.monotonic() - self._said_at >= EVERY_SECONDS:
            self._said_at = time.monotonic()
            say(file=self.file, num_bytes=int(self.n))


def say(**words: Any) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def main(repository: str, *names: str) -> int:
    """-> exit code"""
    with told(lambda error: say(error=str(error))):
        for name in names:
            fetch(repository, name)
        return 0
    return 1


def fetch(repository: str, name: str) -> None:
    """One file into the cache, checked. The library keeps nothing of a download that was cut off; so the
    bytes are brought here, and it finds them in their place.
    """
    url = hf_hub_url(repository, name)
    known = asked(lambda: get_hf_file_metadata(url), repository)
    if known.etag is None or known.size is None:
        raise TunerError(f"'{url}' is no file that can be downloaded.")
    folder = cache_folder() / repo_folder_name(repo_id=repository, repo_type="model") / "blobs"
    folder.mkdir(parents=True, exist_ok=True)
    blob, partial = folder / known.etag, folder / f"{known.etag}.partial"
    if not blob.exists():
        bar = type("Told", (_Told,), {"file": name})
        with partial.open("ab") as file:
            asked(lambda: _get(known.location, url, file, known.size, bar), repository)
        _check(partial, name, known.etag)
        os.replace(partial, blob)
    asked(lambda: hf_hub_download(repository, name), repository)
    say(file=name, num_bytes=known.size)


def _get(location: str, url: str, file: BinaryIO, num_bytes: int | None, bar: type[_Told]) -> None:
    """What is missing at the end of `file`. The token goes to Hugging Face, not to whom it sends us."""
    own = urlsplit(location).netloc == urlsplit(url).netloc
    http_get(
        location,
        file,
        resume_size=file.tell(),
        headers=build_hf_headers() if own else {},
        expected_size=num_bytes,
        tqdm_class=bar,
    )


def _check(path: Path, name: str, etag: str) -> None:
    """Weights by their header, and every large file by its checksum; a wrong one is deleted."""
    try:
        if single_file.is_single_file(name):
            entries([path])
        if len(etag) == SHA256_DIGITS:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != etag:
                    raise TunerError(f"'{name}' arrived damaged.", Advice("Download it again."))
    except TunerError:
        path.unlink()
        raise


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""A Hugging Face of our own on 127.0.0.1, and an empty cache and token store."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants, hf_api

TOKEN = "hf_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
REPOSITORY = "someone/flux"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """`files` by name; `asked` are the requests, `slow` makes files drip; `as_promised` is what
    the checksum of every file is made of, instead of its own bytes.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    gated: bool = False
    as_promised: bytes = b""
    slow: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    address: str = ""


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The library of this process, and of those it starts, asks our server and keeps things in `tmp_path`."""
    one = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.hub = one
    one.address = f"http://127.0.0.1:{server.server_port}"
    home = tmp_path / "hf"
    own = {
        "HF_ENDPOINT": one.address,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": "",
        "HF_HUB_CACHE": str(home / "hub"),
    }
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    for name, value in {
        "ENDPOINT": one.address,
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_STORED_TOKENS_PATH": str(home / "stored_tokens"),
        "HF_HUB_OFFLINE": False,
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr(hf_api.api, "endpoint", one.address)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield one
    server.shutdown()
    server.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Hub:
        return self.server.hub

    def log_message(self, *_) -> None:
        pass

    def do_HEAD(self) -> None:  # noqa: N802 - the name that the library wants
        self.do_GET()

    def do_GET(self) -> None:  # noqa: N802
        path = self.path.partition("?")[0]
        self.hub.asked.append((self.command, self.path))
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if path == "/api/whoami-v2":
            self._json(
                {"name": "painter", "auth": {"accessToken": {"displayName": "t", "role": "read"}}}
                if known
                else None,
                401,
            )
        elif REPOSITORY not in path:
            self._json(None, 404, "RepoNotFound")
        elif self.hub.gated and not known:
            self._json(None, 403, "GatedRepo")
        elif path.startswith("/api/"):
            files = [{"rfilename": name, "size": len(data)} for name, data in self.hub.files.items()]
            self._json({"id": REPOSITORY, "sha": COMMIT, "siblings": files})
        else:
            self._file(self.hub.files[path.partition("/resolve/")[2].partition("/")[2]])

    def _json(self, words, status: int = 200, code: str = "") -> None:
        body = json.dumps(words if words is not None else {"error": "no"}).encode()
        self.send_response(200 if words is not None else status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _file(self, data: bytes) -> None:
        first = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if first:
            self.hub.asked.append(("range", self.path))
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(data) - first))
        checksum = hashlib.sha256 if len(data) > 1000 else hashlib.sha1
        self.send_header("ETag", f'"{checksum(self.hub.as_promised or data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        piece = 2**20
        for start in range(first, len(data), piece):
            time.sleep(0.03 if self.hub.slow else 0)
            try:
                self.wfile.write(data[start : start + piece])
            except OSError:
                return

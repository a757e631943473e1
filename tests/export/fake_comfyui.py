"""A server that answers as ComfyUI does, as far as this program asks it."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

NUMBER = "0c9e"
PICTURE = b"\x89PNG a picture"


class FakeComfyUI:
    """`asked` are the bodies that were posted, by path; `answers` replace its own."""

    def __init__(self, loras: Path | None = None, answers: Mapping[str, bytes] | None = None) -> None:
        image = {"filename": "a b.png", "subfolder": "", "type": "output"}
        self.answers = {
            "/experiment/models": json.dumps([{"name": "loras", "folders": [str(loras)]}]).encode(),
            "/prompt": json.dumps({"prompt_id": NUMBER, "number": 1, "node_errors": {}}).encode(),
            f"/history/{NUMBER}": json.dumps({NUMBER: {"outputs": {"9": {"images": [image]}}}}).encode(),
            "/view?filename=a+b.png&subfolder=&type=output": PICTURE,
            **(answers or {}),
        }
        self.refusals: dict[str, tuple[int, bytes]] = {}
        self.asked: dict[str, Any] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeComfyUI:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                fake.asked[self.path] = json.loads(data)
                self._answer()

            def _answer(self) -> None:
                known = fake.answers.get(self.path)
                default = (404, b"") if known is None and self.command == "GET" else (200, known or b"{}")
                code, data = fake.refusals.get(self.path, default)
                self.send_response(code)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler

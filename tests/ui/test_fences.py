"""Which requests pass the fence, and which do not."""

from __future__ import annotations

import asyncio

import pytest

from tuner.ui.fences import Fence, is_own

HOSTS = ("127.0.0.1", "localhost")
OURS = "127.0.0.1:7860"


def request(path: str = "/", method: str = "GET", **headers: str) -> dict:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "scheme": "http", "method": method, "path": path, "headers": raw}


ASSET = "/gradio_api/file=/runs/cat/validation_images/a.png"
PASSES = {
    "an address typed in": request(host=OURS, sec_fetch_site="none"),
    "no browser at all": request(host=OURS),
    "the other name": request(host="localhost:7860"),
    "without a port": request(host="localhost"),
    "a command of our page": request(
        "/gradio_api/queue/join",
        "POST",
        host=OURS,
        origin=f"http://{OURS}",
        sec_fetch_site="same-origin",
    ),
    "a picture of our page": request(ASSET, host=OURS, sec_fetch_site="same-origin"),
    "a link elsewhere": request(
        host=OURS, sec_fetch_site="cross-site", sec_fetch_mode="navigate", sec_fetch_dest="document"
    ),
}
STOPS = {
    "no host": request(),
    "another host": request(host="evil.example:7860"),
    "a name that only begins so": request(host="127.0.0.1.evil.example"),
    "a command from nowhere": request("/gradio_api/queue/join", "POST", host=OURS),
    "a command from elsewhere": request(
        "/gradio_api/queue/join", "POST", host=OURS, origin="https://evil.example"
    ),
    "a command of another port": request(
        "/gradio_api/upload", "POST", host=OURS, origin="http://127.0.0.1:8000"
    ),
    "our port by its other name": request(
        "/gradio_api/upload", "POST", host=OURS, origin="http://localhost:7860"
    ),
    "a page without an address": request("/gradio_api/upload", "POST", host=OURS, origin="null"),
    "a read from elsewhere": request("/config", host=OURS, origin="https://evil.example"),
    "a picture elsewhere": request(ASSET, host=OURS, sec_fetch_site="cross-site", sec_fetch_dest="image"),
    "a picture of another port": request(
        ASSET, host=OURS, sec_fetch_site="same-site", sec_fetch_dest="image"
    ),
    "a frame elsewhere": request(
        host=OURS, sec_fetch_site="cross-site", sec_fetch_mode="navigate", sec_fetch_dest="iframe"
    ),
    "a link to a file": request(
        ASSET, host=OURS, sec_fetch_site="cross-site", sec_fetch_mode="navigate", sec_fetch_dest="document"
    ),
    "a hidden file": request("/gradio_api/file=/runs/cat/exports/.token", host=OURS),
    "a hidden file of Windows": request("/gradio_api/file=C:\\runs\\cat\\.env", host=OURS),
    "a hidden file in code": request("/gradio_api/file=/runs/cat/exports/%2Etoken", host=OURS),
}


@pytest.mark.parametrize("name", PASSES)
def test_it_passes(name) -> None:
    assert is_own(PASSES[name], HOSTS)


@pytest.mark.parametrize("name", STOPS)
def test_it_stops(name) -> None:
    assert not is_own(STOPS[name], HOSTS)


def through(scope: dict) -> list[dict]:
    """What is answered by an app behind the fence that says yes to everything."""
    answers: list[dict] = []

    async def app(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def sent(message) -> None:
        answers.append(message)

    asyncio.run(Fence(app, HOSTS)(scope, None, sent))
    return answers


def test_what_stops_is_403_and_what_passes_cannot_be_framed() -> None:
    assert through(STOPS["another host"])[0]["status"] == 403
    (started,) = through(PASSES["a link elsewhere"])
    assert started["status"] == 200
    assert (b"content-security-policy", b"frame-ancestors 'none'") in started["headers"]


def test_no_socket_is_opened() -> None:
    assert through({"type": "websocket", "headers": []}) == [{"type": "websocket.close", "code": 1008}]

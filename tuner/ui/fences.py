"""Who is answered: the app's own page, and nobody else's. Any web page that is open in the same browser can
reach this computer's ports; a browser tells where a request comes from.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

READING = ("GET", "HEAD")
OWN = ("same-origin", "none")
"""What `Sec-Fetch-Site` says of our page's requests, and of an address that was typed or bookmarked."""
REFUSED = "FluxTuner answers its own page only."


class Fence:
    """Outermost of all: refuses with 403, before a byte of the body is read."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        """`hosts` are the names of this computer that count."""
        self._app, self._hosts = app, tuple(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # the page opens none
        elif is_own(scope, self._hosts):
            await self._app(scope, receive, _unframed(send))
        else:
            await PlainTextResponse(REFUSED, status_code=403)(scope, receive, send)


def is_own(scope: Scope, hosts: Sequence[str]) -> bool:
    """Whether a request may pass: to a name of this computer, from a page of the same address or from no page
    at all, and for no hidden file.
    """
    headers, method = Headers(scope=scope), scope["method"]
    host, origin = headers.get("host", ""), headers.get("origin")
    if host.rpartition(":")[0] not in hosts and host not in hosts:
        return False
    if origin is None and method not in READING:
        return False
    if origin is not None and origin != f"{scope['scheme']}://{host}":
        return False
    if headers.get("sec-fetch-site", "none") not in OWN and not _opens_the_page(scope, headers):
        return False
    return not PurePosixPath(unquote(scope["path"]).replace("\\", "/")).name.startswith(".")


def _opens_the_page(scope: Scope, headers: Headers) -> bool:
    """A link elsewhere may lead here; a frame or a picture elsewhere may not show what is here."""
    return (
        scope["method"] in READING
        and scope["path"] == "/"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def _unframed(send: Send) -> Send:
    """For browsers that do not say what a request is for: no other page may put this one into a frame."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", []), (b"content-security-policy", b"frame-ancestors 'none'")]
            message = {**message, "headers": headers}
        await send(message)

    return sent

"""A running ComfyUI, asked over HTTP; that none is there is normal. Only this computer is ever called."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import ProxyHandler, Request, build_opener

from tuner.errors import Advice, TunerError

ADDRESS = "http://127.0.0.1:8188"
SHORT_SECONDS, LONG_SECONDS = 1.0, 30.0
_POLL_SECONDS = 0.5
_direct = build_opener(ProxyHandler({}))

Graph = Mapping[str, Any]


def folders(address: str) -> dict[str, tuple[str, ...]]:
    """Where the server looks for models, by kind; empty where none answers, or something else does."""
    try:
        listed = json.loads(_get(address, "/experiment/models", SHORT_SECONDS))
        return {one["name"]: tuple(one["folders"]) for one in listed}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def add_workflow(address: str, name: str, document: Graph) -> None:
    """Into the sidebar of the server's page; TunerError where it does not take it."""
    path = f"/userdata/{quote(f'workflows/{name}', safe='')}?overwrite=false"
    _post(address, path, json.dumps(document).encode())


def draw(address: str, api: Graph, ui: Graph, seconds: float) -> bytes:
    """The first picture that the server makes of a workflow, in at most so many seconds; TunerError."""
    client = uuid.uuid4().hex
    asked = {"prompt": api, "client_id": client, "extra_data": {"extra_pnginfo": {"workflow": ui}}}
    number = json.loads(_post(address, "/prompt", json.dumps(asked).encode()))["prompt_id"]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        history = json.loads(_asked(address, f"/history/{number}")).get(number)
        if history is not None:
            return _picture(address, history)
        time.sleep(_POLL_SECONDS)
    raise TunerError(
        f"ComfyUI has not drawn the picture within {seconds:.0f} seconds.", Advice("Look at its own page.")
    )


def _picture(address: str, history: Mapping[str, Any]) -> bytes:
    images = [one for output in history.get("outputs", {}).values() for one in output.get("images", ())]
    if not images:
        raise TunerError(
            "ComfyUI ended without a picture.", Advice("Its console says why: often a model file is missing.")
        )
    wanted = {key: images[0][key] for key in ("filename", "subfolder", "type")}
    return _asked(address, f"/view?{urlencode(wanted)}")


def _asked(address: str, path: str) -> bytes:
    try:
        return _get(address, path, LONG_SECONDS)
    except OSError as error:
        raise _gone(error) from error


def _get(address: str, path: str, seconds: float) -> bytes:
    with _direct.open(f"{address}{path}", timeout=seconds) as answer:
        data: bytes = answer.read()
    return data


def _post(address: str, path: str, data: bytes) -> bytes:
    request = Request(f"{address}{path}", data, {"Content-Type": "application/json"}, method="POST")
    try:
        with _direct.open(request, timeout=LONG_SECONDS) as answer:
            found: bytes = answer.read()
    except HTTPError as error:
        raise TunerError(f"ComfyUI refused it: {_reason(error)}.", Advice("Mend that in ComfyUI.")) from error
    except OSError as error:
        raise _gone(error) from error
    return found


def _reason(error: HTTPError) -> str:
    """What the server says, by node where one is wrong."""
    text = error.read().decode(errors="replace")
    try:
        document = json.loads(text)
        nodes = [
            f"{node['class_type']}: {one['message']} ({one['details']})"
            for node in document["node_errors"].values()
            for one in node["errors"]
        ]
        return "; ".join(nodes) or str(document["error"]["message"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return text.strip() or f"it answers {error.code}"


def _gone(error: OSError) -> TunerError:
    reason = error.reason if isinstance(error, URLError) else error
    return TunerError(f"ComfyUI does not answer ({reason}).", Advice("Start it, and try again."))

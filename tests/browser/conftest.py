"""The app as a process of its own, and a real Chromium that must find nothing to complain about."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.house import ROOT
from tuner.install import browser as chromium

PATIENCE_MS = 120_000
expect.set_options(timeout=PATIENCE_MS)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TICKS: dict[str, list[float]] = {}


ENDED = 0 if os.name == "posix" else 1
"""The exit code of an app that was asked to end: Windows lets no program hear that."""


@dataclass
class App:
    """`heard` are the lines on its console."""

    address: str
    root: Path
    process: subprocess.Popen[str]
    heard: list[str] = field(default_factory=list)

    def close(self) -> int:
        """Ask it to end; returns the exit code."""
        self.process.terminate()
        self.heard += self.process.communicate(timeout=60)[0].splitlines()
        return self.process.returncode


def start_app(
    script: str, root: Path, welcomed: bool = True, options: Sequence[str] = (), **environment: str
) -> App:
    """Start a script of the repository as the app, and wait for its address; not as for the first time."""
    if welcomed:
        (root / ".tmp").mkdir(parents=True, exist_ok=True)
        (root / ".tmp" / "welcomed").touch()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            sys.executable,
            str(ROOT / script),
            "--no-browser",
            "--port",
            str(port),
            "--root",
            str(root),
            *options,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )
    app = App(f"http://127.0.0.1:{port}", root, process)
    assert process.stdout is not None
    for line in process.stdout:
        app.heard.append(line.rstrip())
        if app.address in line:
            return app
    pytest.fail(f"{script} did not open: {app.heard}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = chromium.find()
    if program is None:
        pytest.fail("The browser tests need Chromium: bash install.sh test")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield opened
        opened.close()


CUT_OFF = ("AbortError", "Connection errored out")
"""What gradio logs when a reload cuts off a request that is under way, as happens on a slow machine."""


@pytest.fixture
def visit(browser, request) -> Iterator[Callable[..., Page]]:
    """Opens tabs, all of one browser window; in the end none may have logged an error or asked outside."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    wrong: list[str] = []
    ticks = TICKS.setdefault(request.node.name, [])

    def watch(page: Page) -> None:
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: wrong.append(asked.url) if not _own(asked.url) else None)
        page.on(
            "requestfinished",
            lambda asked: ticks.append(_milliseconds(asked)) if _tick(asked) else None,
        )

    def open_tab(address: str, width: int = 1280, theme: str = "light") -> Page:
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": 900})
        watch(page)
        page.goto(f"{address}/?__theme={theme}")
        page.get_by_role("tab", name="Images", exact=True).wait_for()
        return page

    yield open_tab
    context.close()
    assert [one for one in wrong if not any(words in one for words in CUT_OFF)] == []


def _own(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))


def _tick(asked) -> bool:
    """The unqueued calls of the timers; commands go through the queue."""
    return asked.url.partition("?")[0].endswith("/gradio_api/run/predict")


def _milliseconds(asked) -> float:
    return asked.timing["responseEnd"] - asked.timing["requestStart"]


def pytest_terminal_summary(terminalreporter) -> None:
    for name, ticks in TICKS.items():
        if len(ticks) > 5:
            median = statistics.median(ticks)
            terminalreporter.write_line(f"{name}: {len(ticks)} ticks of the page, median {median:.0f} ms")


def go(page: Page, tab: str) -> None:
    page.get_by_role("tab", name=tab, exact=True).click()


def exact(page: Page, label: str) -> Locator:
    """A field of the Recipe's exact numbers, whose fold is opened."""
    field = page.get_by_label(label, exact=True)
    if not field.is_visible():
        page.get_by_role("button", name="Exact numbers").click()
    return field


def screenshot(page: Page, name: str, whole: bool = False) -> None:
    """Into the folder that SCREENS names, else nowhere; `whole` grows the window to what it shows, so that
    what sticks to the window stands where a user sees it.
    """
    folder, size = os.environ.get("SCREENS"), page.viewport_size
    if not folder or not size:
        return
    if whole:
        height = page.evaluate(
            "Math.max(...['html', '.gradio-container'].map(one => document.querySelector(one).scrollHeight))"
        )
        page.set_viewport_size({**size, "height": max(height, 600)})
        page.wait_for_timeout(500)
    page.screenshot(path=Path(folder) / f"{name}.png")
    page.set_viewport_size(size)

"""What a page of another origin, and a program that is no browser, can do with the app: nothing."""

from __future__ import annotations

import http.client
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ENDED, go, start_app
from tests.browser.made import begin
from tests.browser.test_page import stop
from tests.house import ROOT

pytestmark = pytest.mark.browser

POSTS = ("/gradio_api/upload", "/gradio_api/queue/join", "/gradio_api/run/predict", "/gradio_api/reset")
READS = ("/", "/config", "/gradio_api/info", "/gradio_api/queue/data?session_hash=x")

TRY_EVERYTHING = """async ([ours, posts, reads, picture]) => {
  const got = [];
  const tried = async (name, deed) => { try { if (await deed()) got.push(name); } catch (refused) {} };
  const body = JSON.stringify({data: [], fn_index: 0, session_hash: 'x'});
  for (const path of posts) {
    const form = new FormData();
    form.append('files', new Blob(['x']), 'x.png');
    await tried('form ' + path, async () => (await fetch(ours + path, {method: 'POST', body: form})).ok);
    await tried('json ' + path, async () => (await fetch(ours + path, {
      method: 'POST', body, headers: {'Content-Type': 'application/json'}})).ok);
    await tried('text ' + path, async () => (await fetch(ours + path, {method: 'POST', body})).ok);
  }
  for (const path of [...reads, picture])
    await tried('read ' + path, async () => (await fetch(ours + path)).ok);
  await tried('show ' + picture, () => new Promise((done) => {
    const shown = new Image();
    shown.onload = () => done(true); shown.onerror = () => done(false); shown.src = ours + picture;
  }));
  await tried('socket', () => new Promise((done) => {
    const socket = new WebSocket(ours.replace('http', 'ws') + '/gradio_api/queue/join');
    socket.onopen = () => done(true); socket.onerror = () => done(false);
  }));
  return got;
}"""


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    opened = start_app("tests/browser/play.py", tmp_path_factory.mktemp("fences"))
    yield opened
    assert opened.close() == ENDED, opened.heard


@pytest.fixture
def elsewhere():
    """The address of an empty page on another port."""

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>elsewhere</title>")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def answer(app, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """Status and body; with a body that each POST would take."""
    place = urlsplit(app.address)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
    body = json.dumps({"data": [], "fn_index": 0, "session_hash": "x"}) if method == "POST" else None
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, {"Content-Type": "application/json", **named})
    got = connection.getresponse()
    status, said = got.status, got.read() if got.getheader("content-length") else b""
    connection.close()
    return status, said


@pytest.mark.parametrize("path", POSTS)
def test_a_post_needs_to_come_from_our_page(app, path) -> None:
    for origin in (
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ):
        assert answer(app, path, "POST", **origin)[0] == 403, origin
    assert answer(app, path, "POST", Origin=app.address)[0] != 403


@pytest.mark.parametrize("path", READS)
def test_a_foreign_page_reads_nothing(app, path) -> None:
    assert answer(app, path, Origin="https://evil.example")[0] == 403
    assert answer(app, path, Host="evil.example")[0] == 403
    assert answer(app, path, Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="iframe")[0] == 403


def test_another_name_of_this_computer_is_answered(app) -> None:
    assert answer(app, "/", Host="localhost")[0] == 200


def test_nothing_but_pictures_and_exports_is_served(app, visit, tmp_path) -> None:
    page = visit(app.address)
    begin(app, page, "served", 10)
    expect(page.locator("#strip")).to_contain_text("Finished")
    run = app.root / "runs" / "served"
    picture, export = next(run.glob("validation_images/*.png")), next(run.glob("exports/*.safetensors"))
    hidden, outside = run / "exports" / ".token", tmp_path / "outside.png"
    hidden.write_text("hf_secret", encoding="utf-8")
    outside.write_bytes(picture.read_bytes())
    for path in (picture, export):
        assert answer(app, f"/gradio_api/file={path}")[0] == 200
    closed = [
        hidden,
        outside,
        run / "events.jsonl",
        run / "log.txt",
        run / "config" / "config.json",
        next(run.glob("checkpoint-*")) / "training_state.json",
        app.root / ".tmp" / "welcomed",
        ROOT / "app.py",
        ROOT / "README.md",
        ROOT / ".git" / "config",
    ]
    for path in closed:
        assert path.exists(), path
        for route in ("/gradio_api/file=", "/gradio_api/file/", "/file="):
            status, said = answer(app, f"{route}{path}")
            assert status in (403, 404), (route, path)
            assert b"hf_secret" not in said
    around = f"/gradio_api/file={run}/exports/../config/config.json"
    assert answer(app, around)[0] == 403


def test_a_real_page_of_another_origin_gets_nothing(app, visit, elsewhere, browser) -> None:
    page = visit(app.address)
    begin(app, page, "watched", 3000)
    page.get_by_role("button", name="Sample now").click()
    expect(page.locator("#samples img").first).to_be_visible()
    picture = page.locator("#samples img").first.get_attribute("src")
    foreign = browser.new_page()
    foreign.goto(elsewhere)
    assert foreign.evaluate(TRY_EVERYTHING, [app.address, POSTS, READS, picture]) == []
    foreign.set_content(f'<iframe src="{app.address}" width="600" height="400"></iframe>')
    foreign.wait_for_timeout(1500)
    (frame,) = (one for one in foreign.frames if one is not foreign.main_frame)
    assert "FluxTuner" not in frame.title()
    foreign.close()
    expect(page.locator("#strip")).to_contain_text("Running")
    stop(page)
    go(page, "Runs")
    assert sorted(path.name for path in (app.root / "runs").iterdir()) == ["served", "watched"]

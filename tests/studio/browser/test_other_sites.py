"""What another page in the same browser can do to a studio: nothing. Two studios side by side leave each other alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from studio_browser import new_context
from studio_command import StudioCommand

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# All that a page can send without asking first, and what it could read of the answers.
ATTACK = """
async (studio) => {
  const read = [];
  const note = (name) => (answer) => { if (answer) read.push(name + ": " + answer); };
  const tries = {
    "read": () => fetch(studio + "/api/session").then((r) => r.text()),
    "with cookies": () => fetch(studio + "/api/session", {credentials: "include"}).then((r) => r.text()),
    "simple post": () => fetch(studio + "/api/stop", {method: "POST", mode: "no-cors", credentials: "include",
        headers: {"content-type": "text/plain"}, body: '{"tab":"x"}'}).then((r) => r.text()),
    "post as json": () => fetch(studio + "/api/run", {method: "POST", credentials: "include",
        headers: {"content-type": "application/json"}, body: '{"model":"lenet5","image":"sample:0"}'}).then((r) => r.text()),
    "upload": () => fetch(studio + "/api/image", {method: "POST", mode: "no-cors", credentials: "include",
        body: new Blob(["x"], {type: "text/plain"})}).then((r) => r.text()),
    "script": () => new Promise((done) => { const s = document.createElement("script"); s.src = studio + "/static/app.js";
        s.onload = () => done("loaded"); s.onerror = () => done(""); document.head.append(s); }),
    "picture": () => new Promise((done) => { const i = new Image(); i.onload = () => done("loaded"); i.onerror = () => done("");
        i.src = studio + "/api/image/sample:0"; }),
    "style": () => new Promise((done) => { const l = document.createElement("link"); l.rel = "stylesheet";
        l.href = studio + "/static/base.css"; l.onload = () => done("loaded"); l.onerror = () => done(""); document.head.append(l); }),
    "events": () => new Promise((done) => { const e = new EventSource(studio + "/api/session/events", {withCredentials: true});
        e.onopen = () => done("open"); e.onerror = () => { e.close(); done(""); }; }),
    "socket": () => new Promise((done) => { const w = new WebSocket(studio.replace("http", "ws") + "/api/session/events");
        w.onopen = () => done("open"); w.onerror = () => done(""); }),
    "frame": () => new Promise((done) => { const f = document.createElement("iframe"); f.src = studio + "/";
        f.onload = () => { let inside = ""; try { inside = f.contentDocument ? f.contentDocument.body.textContent : ""; } catch {}
          done(inside); }; document.body.append(f); }),
    "form": () => new Promise((done) => { const f = document.createElement("form"); f.method = "POST"; f.enctype = "text/plain";
        f.action = studio + "/api/stop"; f.target = "sink"; const s = document.createElement("iframe"); s.name = "sink";
        s.onload = () => { let inside = ""; try { inside = s.contentDocument ? s.contentDocument.body.textContent : ""; } catch {}
          done(inside); }; document.body.append(s, f); f.submit(); }),
  };
  for (const [name, attempt] of Object.entries(tries)) await attempt().then(note(name), () => {});
  return read;
}
"""


class _Plain(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title><body>")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def elsewhere() -> Iterator[int]:
    """A page of another server on this machine; its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Plain) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_another_page_reads_and_changes_nothing(
    browser: Browser, studio: StudioCommand, elsewhere: int, host: str
) -> None:
    # 127.0.0.1 on another port is the same site: the cookie is sent, so the cookie alone must not be enough.
    with new_context(browser, f"http://{host}:{elsewhere}") as (context, faults):
        faults.expect("console", "request elsewhere", "exception")
        context.new_page().goto(studio.address)  # the browser has the cookie
        other = context.new_page()
        other.goto(f"http://{host}:{elsewhere}/")
        assert other.evaluate(ATTACK, studio.origin) == []
        other.goto(studio.origin.replace("127.0.0.1", "localhost"))
        assert "token" in other.locator("body").inner_text(), "another name of this machine shares the cookie"


def test_two_studios_in_one_browser(browser: Browser, studio: StudioCommand, start) -> None:
    second = start()
    with new_context(browser, studio.origin) as (context, faults):
        faults.expect(f"request elsewhere: {second.origin}")
        pages = []
        for one in (studio, second):
            pages.append(context.new_page())
            pages[-1].goto(one.address)
        for page in pages:
            answer = page.evaluate("fetch('/api/session').then(r => r.json())")
            assert "stage" in answer, "one studio's cookie has replaced the other's"
            page.reload()

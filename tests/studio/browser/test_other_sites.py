"""What another page in the same browser can do to a studio: nothing. Two studios leave each other alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from studio_browser import new_context
from studio_command import StudioCommand
from studio_networks import HOSTILE_RUN

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ATTACK = Path(__file__).with_name("other_site.js").read_text(encoding="utf-8")


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
        assert other.evaluate(ATTACK, [studio.origin, quote(HOSTILE_RUN, safe="")]) == []
        other.goto(studio.origin.replace("127.0.0.1", "localhost"))
        assert "token" in other.locator("body").inner_text(), "another name of this machine shares the cookie"


@pytest.mark.long
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

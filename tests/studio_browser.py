"""A browser for the tests of the page: Debian's Chromium or the like, and what a page does wrong while a test runs."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

# CONVSCOPE_BROWSER names another executable.
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLACES = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",)
# A camera that shows a test picture: a context with the permission "camera" may use it.
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--use-fake-device-for-media-stream")
SIZES = {"phone": (360, 740), "laptop": (1280, 800), "4K": (3840, 2160)}


def browser_path() -> str | None:
    """Return the executable of a Chromium on this machine, or None."""
    if given := os.environ.get("CONVSCOPE_BROWSER"):
        return given
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return found or next((place for place in PLACES if Path(place).is_file()), None)


@contextmanager
def running_firefox() -> Iterator[Browser]:
    """Start Playwright's own Firefox, the one that it can drive; skip the test where it is not installed."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
    with sync_api.sync_playwright() as playwright:
        if not Path(playwright.firefox.executable_path).is_file():
            pytest.skip("needs Playwright's Firefox: playwright install firefox")
        browser = playwright.firefox.launch()
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Start a Chromium without a window; skip the test where something for it is missing, and say what."""
    pytest.importorskip("starlette", reason="needs the studio's extra: pip install convscope[studio]")
    pytest.importorskip("uvicorn", reason="needs the studio's extra: pip install convscope[studio]")
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
    path = browser_path()
    if path is None:
        pytest.skip(f"needs a browser: none of {', '.join(NAMES)} is installed (.ci/install_browser installs one)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class PageFaults:
    """What a page does wrong: errors on its console, exceptions that it does not catch, dialogs, requests elsewhere.

    A test that provokes an error names it by `expect`.
    """

    origin: str
    found: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def expect(self, *patterns: str) -> None:
        """Let what matches one of these patterns pass from now on."""
        self.expected += patterns

    def watch(self, context: BrowserContext) -> None:
        """Watch all pages of a browser context, those that it opens later too."""
        context.on("console", self._console)
        context.on("weberror", lambda error: self.add(f"exception: {error.error}"))
        context.on("dialog", lambda dialog: (self.add(f"dialog: {dialog.message}"), dialog.dismiss()))
        context.on("request", self._request)

    def add(self, fault: str) -> None:
        """Note a fault."""
        self.found.append(fault)

    def check(self) -> None:
        """Fail where there was a fault that the test does not expect."""
        left = [one for one in self.found if not any(re.search(pattern, one) for pattern in self.expected)]
        assert not left, "the page did something wrong:\n" + "\n".join(left)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            self.add(f"console {message.type}: {message.text} {message.location.get('url', '')}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.origin + "/", "blob:", "data:", "about:")):
            self.add(f"request elsewhere: {request.url}")


@contextmanager
def new_context(browser: Browser, origin: str, **settings: Any) -> Iterator[tuple[BrowserContext, PageFaults]]:
    """Open a browser context whose pages are watched; at the end of the test, faults fail it."""
    settings.setdefault("viewport", {"width": 1280, "height": 800})
    settings.setdefault("reduced_motion", "reduce")
    context = browser.new_context(**settings)
    context.set_default_timeout(float(os.environ.get("CONVSCOPE_BROWSER_MS", "60000")))
    faults = PageFaults(origin)
    faults.watch(context)
    try:
        yield context, faults
    finally:
        context.close()
    faults.check()


def widest(page: Page) -> tuple[int, int]:
    """Return the width of the page's content and of the window: the first is larger where a page scrolls sideways."""
    found = page.evaluate("() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    return int(found[0]), int(found[1])


_CUT_OFF = """() => {
  const controls = document.querySelectorAll("a[href], button, input, select, summary, [role=tab], [tabindex]");
  const scrolls = (one) => /auto|scroll/.test(getComputedStyle(one).overflowX) && one.scrollWidth > one.clientWidth;
  return [...controls].filter((one) => {
    const box = one.getBoundingClientRect();
    if (!box.width || (box.left >= -1 && box.right <= innerWidth + 1) || !one.checkVisibility()) return false;
    for (let at = one.parentElement; at; at = at.parentElement) if (scrolls(at)) return false;
    return true;
  }).map((one) => `${one.tagName} ${(one.getAttribute("aria-label") || one.textContent).trim().slice(0, 40)}`);
}"""


def cut_off(page: Page) -> list[str]:
    """Return the controls that lie outside of the window sideways and that nothing scrolls into it."""
    return [str(one) for one in page.evaluate(_CUT_OFF)]


def screenshot(page: Page, name: str) -> None:
    """Keep a picture of the page where CONVSCOPE_SCREENSHOTS names a folder."""
    if folder := os.environ.get("CONVSCOPE_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def violations(page: Page) -> list[str]:
    """Return what axe-core finds against WCAG 2.2 AA and its best practices: a line for each rule and element."""
    package = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    found = package.Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{rule['id']} ({rule['impact']}): {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]

"""What goes wrong around a page: tabs, the server, the compute process, the model, the disk. It says so and goes on."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from studio_browser import new_context
from studio_command import StudioCommand
from studio_networks import broken_file
from studio_page import StudioPage

STEM = "#/explore?v=1&m=given&i=sample:0&l=stem"
RESTART = 60_000  # ms until the compute process has imported torch again
LOADING = "Failed to load resource"


def test_the_page_is_up_before_torch(start, open_page, tmp_path: Path) -> None:
    studio = start()
    page = open_page(studio, rest=False)
    assert page.page.locator("header.bar").is_visible()
    page.rest()
    assert page.channels, "the page did not open a network by itself"
    assert studio.compute_processes()


def test_two_tabs_and_one_closed_in_the_middle(browser, studio: StudioCommand) -> None:
    with new_context(browser, studio.origin) as (context, faults):
        first, second = (StudioPage(context.new_page(), studio, faults) for _ in range(2))
        first.go(STEM)
        second.go("#/explore?v=1&m=lenet5&i=sample:8")
        third = StudioPage(context.new_page(), studio, faults)
        third.go("#/explore?v=1&m=given&i=sample:3&l=again", rest=False)
        third.page.wait_for_timeout(30)
        third.page.close()
        first.explore(m="given", i="sample:1", l="stem")
        assert first.channels and second.channels
        assert second.state["m"] == "lenet5", "one tab has changed the other"


# Without a window every tab counts as seen: what a browser says of a tab behind another is said here.
SEEN = """(seen) => {
  Object.defineProperty(document, "hidden", {configurable: true, value: !seen});
  Object.defineProperty(document, "visibilityState", {configurable: true, value: seen ? "visible" : "hidden"});
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.mark.long
def test_eight_tabs(browser, studio: StudioCommand) -> None:
    # A browser opens six connections to one server; streams of events must not take them all.
    with new_context(browser, studio.origin) as (context, faults):
        pages = [StudioPage(context.new_page(), studio, faults) for _ in range(8)]
        for page in pages:
            page.go(STEM)
            assert page.channels
            page.page.evaluate(SEEN, False)
        pages[0].page.evaluate(SEEN, True)
        pages[0].explore(m="given", i="sample:1", l="again")
        assert pages[0].channels


# Asks for the parts of an attribution until it has ended, and returns how: the kind of the error, or "whole".
ENDING = """async (path) => {
  for (;;) {
    const answer = await fetch(`${path}?after=9999`, {headers: {"x-convscope-tab": "other"}});
    const bytes = await answer.arrayBuffer();
    const length = new DataView(bytes).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
    if (header.done) return header.error?.kind ?? "whole";
  }
}"""


@pytest.mark.long
def test_a_closed_tab_stops_its_work(browser, studio: StudioCommand) -> None:
    with new_context(browser, studio.origin) as (context, faults):
        closed, other = (StudioPage(context.new_page(), studio, faults) for _ in range(2))
        other.go(STEM)
        closed.go(STEM)
        # Some hundred forward passes of a large network: on any machine they take longer than closing a tab.
        with closed.page.expect_response(re.compile("/attribution$"), timeout=5 * RESTART) as begun:
            closed.go("#/explore?v=1&m=densenet121&i=sample:0&a=occlusion", rest=False)
        path = f"{begun.value.url}/{begun.value.json()['id']}"
        closed.page.close()
        assert other.page.evaluate(ENDING, path) == "stopped", "the compute process works on for a tab that is closed"


@pytest.mark.long
def test_the_compute_process_is_killed(page: StudioPage, studio: StudioCommand) -> None:
    page.faults.expect(LOADING)
    page.go(STEM)
    (compute,) = studio.compute_processes()
    os.kill(compute, signal.SIGKILL)
    page.explore(m="given", i="sample:1", l="again", c=1, at="2,2")
    page.says("compute process|SIGKILL|started again")
    # What was asked of the process as it ended is answered by that message; the next question is asked of the new one.
    page.explore(m="given", i="sample:2", l="again", c=1, at="2,2")
    page.page.locator(".map-tile:visible").first.wait_for(timeout=RESTART)
    assert page.cell.startswith("again")


@pytest.mark.long
def test_the_server_is_killed_and_started_again(start, open_page) -> None:
    first: StudioCommand = start()
    page = open_page(first, "#/explore?v=1&m=lenet5&i=sample:8&l=c1")
    page.faults.expect(LOADING, "ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING")
    first.kill()
    # A page at rest asks for nothing: it says so when it is used.
    page.go("#/explore?v=1&m=lenet5&i=sample:9&l=c3", rest=False)
    page.says("does not answer|start `?convscope studio")
    second: StudioCommand = start(port=first.port)
    assert second.port == first.port
    page.says("link that .*printed")
    link = page.link
    page.page.goto(second.address + link)
    page.rest()
    assert page.channels and page.state["i"] == "sample:9"


def asks_again(page: StudioPage, model: str, seconds: float) -> bool:
    """Return whether the page asks for a model within some seconds, by itself."""
    asked: list[str] = []
    page.page.on("request", lambda request: asked.append(request.url))
    page.page.wait_for_timeout(1000 * seconds)
    return any(f"/api/graph/{model}" in url or url.endswith("/api/run") for url in asked)


@pytest.mark.long
@pytest.mark.parametrize(
    ("factory", "said"), [("Raises", "not what this network takes"), ("Ends", "ended"), ("missing", "missing")]
)
def test_a_model_that_fails(start, open_page, tmp_path: Path, factory: str, said: str) -> None:
    studio = start(broken_file(tmp_path, factory), "--input", "3x16x16")
    page = open_page(studio, "#/explore?v=1&m=given&i=sample:0", rest=False)
    page.faults.expect(LOADING)
    page.says(said)
    assert not asks_again(page, "given", 10), "what ended the compute process is asked again and again"
    assert "<b>" not in page.page.locator("[role=status]").first.inner_html().replace("&lt;b&gt;", "")
    page.go("#/explore?v=1&m=lenet5&i=sample:8")
    assert page.channels, "the page does not go on to another model"


@pytest.mark.long
@pytest.mark.parametrize("factory", ["Hangs", "never"])
def test_a_model_that_hangs_can_be_stopped(start, open_page, tmp_path: Path, factory: str) -> None:
    studio = start(broken_file(tmp_path, factory), "--input", "3x16x16")
    page = open_page(studio, "#/explore?v=1&m=given&i=sample:0", rest=False)
    page.faults.expect(LOADING)
    page.page.locator(".status .busy button").click()
    page.says("stopped")
    assert not asks_again(page, "given", 10)
    assert not page.page.locator(".status .busy").count(), "the work that was stopped was started again by itself"
    page.go("#/explore?v=1&m=lenet5&i=sample:8")
    page.page.locator(".map-tile:visible").first.wait_for(timeout=RESTART)


@pytest.mark.long
def test_a_model_that_hangs_meets_its_deadline(start, open_page, tmp_path: Path) -> None:
    studio = start(broken_file(tmp_path, "Hangs"), "--input", "3x16x16", "--deadline", "2")
    page = open_page(studio, "#/explore?v=1&m=given&i=sample:0", rest=False)
    page.faults.expect(LOADING)
    page.says(r"no step ended in 2 s")
    assert not asks_again(page, "given", 10)
    # The process has started again meanwhile: what lets the reader ask once more is still there.
    assert page.page.get_by_role("button", name="Try again").is_visible()
    # Opened once more, the page says so at once; the model is asked again where the reader wants it.
    page.go("#/explore?v=1&m=given&i=sample:1", rest=False)
    page.says("not tried again: no step ended in 2 s")
    page.page.get_by_role("button", name="Try again").click()
    page.page.locator(".status .busy button").wait_for()
    page.says(r"^\s*no step ended in 2 s")
    page.go("#/explore?v=1&m=lenet5&i=sample:8")
    assert page.channels


@pytest.mark.long
def test_numbers_that_are_not_finite(start, open_page, tmp_path: Path) -> None:
    studio = start(broken_file(tmp_path, "NaN"), "--input", "3x16x16")
    page = open_page(studio, "#/explore?v=1&m=given&i=sample:0&l=conv&c=0&at=2,2")
    assert page.channels
    assert "not finite" in page.text


@pytest.mark.long
def test_no_room_on_the_disk(start, open_page) -> None:
    # Every write to a file fails, in the server and in what it starts.
    studio = start(limits=["ulimit -f 0"])
    page = open_page(studio, "#/explore?v=1&m=lenet5&i=sample:8&l=c1")
    page.faults.expect(LOADING)
    assert page.channels, "Explore needs no disk"
    with page.page.expect_download() as download:
        page.share("offline")
    assert download.value.path().stat().st_size > 10_000

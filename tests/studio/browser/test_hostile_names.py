"""Names of layers, classes, files and runs are text on the page, whatever they hold."""

from __future__ import annotations

from studio_networks import HOSTILE, HOSTILE_RUN
from studio_page import StudioPage

# No element that a name could make, and no text cut short by one.
MADE = """() => [...document.querySelectorAll("img[src='x'], iframe, b")].filter(
  (one) => one.tagName !== "B" || one.textContent.startsWith("run")).length"""


def test_names_that_are_markup(page: StudioPage) -> None:
    for model, value in (("given", f"{HOSTILE}.left"), (f"run:{HOSTILE_RUN}", "c1")):
        page.explore(m=model, i="sample:0", l=value)
        assert page.page.evaluate(MADE) == 0
    assert HOSTILE in page.text, "the prediction names no class"
    page.page.locator(".finder").click()
    page.page.get_by_role("searchbox").fill("conv")
    assert page.page.evaluate(MADE) == 0

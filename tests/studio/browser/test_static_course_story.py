"""The static course from the disk with the network cut: chapters, widgets, exercises and their marks, progress."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convscope.course.course import chapters
from convscope.exercises.exercise import exercise
from convscope.exercises.texts import answer_text
from convscope.studio.exporting.static_course import static_course
from studio_browser import SIZES, cut_off, new_context, running_browser, running_firefox, screenshot, violations, widest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.long
DRAWS = 3
SOLVED = ("3a", "2a", "quiz-flip", "slip-rotation")
_LEFT_OUT = "does not carry"


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("static") / "the course.html"
    path.write_bytes(static_course(draws=DRAWS))
    return path


@pytest.fixture(scope="module", params=[running_browser, running_firefox], ids=["chromium", "firefox"])
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    with request.param() as found:
        yield found


@contextmanager
def opened(browser: Browser, course: Path, link: str = "", **settings: Any) -> Iterator[Page]:
    """Open the file without a network; whatever it does wrong, and any request, fails the test."""
    with new_context(browser, course.as_uri(), offline=True, **settings) as (context, faults):
        context.on("request", lambda request: _only_the_file(request.url, course, faults.add))
        faults.origin = course.parent.as_uri()
        page = context.new_page()
        page.goto(f"{course.as_uri()}{link}")
        page.locator(".learn-main > *").first.wait_for()
        yield page


def _only_the_file(url: str, course: Path, add: Any) -> None:
    if not url.startswith((course.as_uri(), "data:", "blob:", "about:")):
        add(f"request: {url}")


def go(page: Page, link: str) -> None:
    """Follow a link within the file."""
    page.evaluate("link => { location.hash = link; }", link)


def walk(page: Page) -> None:
    """Open every chapter and each of its steps; its widget answers a slider, and nothing is missing."""
    for chapter in chapters():
        go(page, f"#/learn/{chapter.number}?seed=1")
        page.locator(f'article.chapter[data-chapter="{chapter.number}"]').wait_for()
        slider = page.locator(".widget input[type=range]").first
        slider.wait_for()
        page.wait_for_function("() => !document.querySelector('.widget .spinner')")
        body = page.locator(".widget-body")
        before = body.inner_html()
        to_end = slider.evaluate("one => one.valueAsNumber >= Number(one.max)")
        slider.focus()
        page.keyboard.press("ArrowLeft" if to_end else "ArrowRight")
        page.wait_for_function("before => document.querySelector('.widget-body').innerHTML !== before", arg=before)
        for step in range(1, page.locator(".step").count() + 1):
            go(page, f"#/learn/{chapter.number}?step={step}&seed=1")
            page.locator(f'.step[data-step="{step}"][data-current="true"]').wait_for()
            page.wait_for_function("() => !document.querySelector('.widget .spinner')")
            assert page.locator(".problem").count() == 0
        assert page.locator(".exercise .statement").count() >= len(chapter.exercises)
        assert _LEFT_OUT not in page.locator("body").inner_text()
        others = page.locator("a[href]").evaluate_all("all => all.map((one) => one.getAttribute('href'))")
        assert all(link.startswith("#/learn") for link in others), others


def solve(page: Page, name: str, seed: int) -> None:
    """Answer an exercise with its answer, as a learner types or chooses it."""
    go(page, f"#/learn/{name}?seed={seed}")
    card = page.locator(f'[data-exercise="{name}"][data-seed="{seed}"]')
    card.locator(".statement").wait_for()
    asked = exercise(name, seed=seed)
    if asked.kind == "choice":
        card.locator(f'input[type=radio][value="{asked.answer}"]').check()
    else:
        card.get_by_label("Your answer").fill(answer_text(asked.answer))
    card.get_by_role("button", name="Check").click()
    card.locator('.feedback[data-kind="right"]').wait_for()


def test_the_course_from_the_disk(browser: Browser, course: Path) -> None:
    """All chapters, four exercises, a seed that the file does not hold, new numbers, links of other rooms."""
    with opened(browser, course) as page:
        assert page.locator(".overview ol > li").count() == len(chapters())
        screenshot(page, f"static-{browser.browser_type.name}")
        walk(page)
        for each in SOLVED:
            solve(page, each, 1)
        kept = json.loads(page.evaluate("() => localStorage.getItem('convscope-learn')"))
        assert set(kept["exercises"]) == set(SOLVED)
        go(page, f"#/learn/3a?seed={DRAWS * 10**6 + 2}")
        page.get_by_text(f"seed {DRAWS * 10**6 + 2} is shown with those of seed 2").wait_for()
        seeds = []
        for _ in range(DRAWS + 1):
            page.locator(".exercise .statement").wait_for()
            seeds.append(int(page.locator(".exercise").get_attribute("data-seed") or ""))
            page.get_by_role("button", name="New numbers").click()
        assert seeds == [2, 0, 1, 2]
        go(page, "#/explore?v=1&m=lenet5")
        page.locator(".overview").wait_for()
        go(page, "#/learn/nothing?seed=1")
        page.get_by_text("does not carry the exercise nothing").wait_for()


def test_a_browser_that_denies_storage(browser: Browser, course: Path) -> None:
    with opened(browser, course) as page:
        page.context.add_init_script("""
          Storage.prototype.setItem = () => { throw new DOMException("denied", "SecurityError"); };
          Storage.prototype.getItem = () => { throw new DOMException("denied", "SecurityError"); };
        """)
        page.reload()
        solve(page, "3a", 0)
        page.get_by_text("This browser stores nothing").wait_for()
        page.get_by_role("button", name=re.compile("^Colours of the page")).click()
        assert page.evaluate("() => document.documentElement.dataset.theme") == "light"


@pytest.mark.parametrize("size", ["phone", "laptop"])
def test_every_window_and_both_schemes(browser: Browser, course: Path, size: str) -> None:
    width, height = SIZES[size]
    with opened(browser, course, viewport={"width": width, "height": height}) as page:
        for link in ("#/learn", "#/learn/1", "#/learn/7?step=2", "#/learn/3a?seed=99"):
            go(page, link)
            page.wait_for_timeout(600)  # for the pictures of it
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                assert widest(page)[0] <= widest(page)[1], (link, scheme)
                assert cut_off(page) == [], (link, scheme)
                assert violations(page) == [], (link, scheme)
                screenshot(page, f"static-{re.sub('[^a-z0-9]+', '-', link)}-{size}-{scheme}")

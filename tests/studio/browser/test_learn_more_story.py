"""Chapters 5 to 8 as a learner goes through them: the widgets by keyboard, their tasks, axe, any width, both themes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from studio_browser import SIZES, cut_off, screenshot, violations, widest
from studio_command import StudioCommand
from studio_page import StudioPage

if TYPE_CHECKING:
    from playwright.sync_api import Route

TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
WIDGETS = {5: ".pooling-widget", 6: ".fields-widget", 7: ".history-widget", 8: ".step-widget"}


def chapter(page: StudioPage, number: int, step: int = 1) -> None:
    """Open a chapter at a step, and wait for its widget."""
    page.go(f"#/learn/{number}?step={step}", rest=False)
    page.page.locator(f'article.chapter[data-chapter="{number}"] {WIDGETS[number]}').wait_for()
    page.page.wait_for_function("() => !document.querySelector('.widget .spinner')")


def result(page: StudioPage) -> str:
    """Return what the widget says of its setting."""
    return page.page.locator(".widget .result").first.inner_text()


def said(page: StudioPage) -> str:
    """Return what a screen reader was told last."""
    return page.page.locator(".learn-room > [aria-live]").text_content() or ""


def done(page: StudioPage, task: str) -> bool:
    """Return whether a task of the chapter is done."""
    return page.page.locator(f'li[data-task="{task}"]').get_attribute("data-done") == "true"


@pytest.mark.long
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(open_page, studio: StudioCommand, theme: str) -> None:
    page = open_page(studio, "#/learn/5", rest=False, color_scheme=theme)
    for number in WIDGETS:
        chapter(page, number)
        screenshot(page.page, f"learn-{number}-{theme}")
        assert not violations(page.page), f"chapter {number}, {theme}"


def test_a_picture_is_moved_by_keys(open_page, studio: StudioCommand) -> None:
    page = open_page(studio, "#/learn/5", rest=False)
    chapter(page, 5)
    assert page.page.locator(".pooling-widget .figures figure").count() == 2  # nothing is pooled yet
    chapter(page, 5, step=2)
    page.page.locator(".heat.movable").focus()
    page.press("ArrowRight", "ArrowDown")
    assert "0.5 and 0.5 cells of stride 2" in result(page) and "changed" in result(page) and not done(page, "exact")
    page.press("ArrowRight", "ArrowDown")
    assert "1 and 1 cells of stride 2. The pooled map moved by whole cells." in result(page)
    page.page.locator('li[data-task="exact"][data-done="true"]').wait_for()
    page.page.get_by_role("button", name="Two, stride 4").click()
    page.page.wait_for_function("() => document.querySelector('.widget .result').innerText.includes('stride 4')")
    assert said(page) == result(page)


def test_a_stack_is_built(open_page, studio: StudioCommand) -> None:
    page = open_page(studio, "#/learn/6", rest=False)
    chapter(page, 6)
    widget = page.page.locator(".fields-widget")
    assert not any(done(page, task) for task in ("fifteen", "cheaper", "fundus"))
    widget.get_by_role("button", name="Remove all").click()
    for name in ("3×3", "3×3", "2×2 pooling", "3×3"):
        widget.get_by_role("button", name=f"+ {name}", exact=True).click()
    assert re.search(r"reads 10×10 pixels; neighbouring cells are 2 px apart; the map has 16×16", result(page))
    assert result(page).startswith(said(page)) and "reads 10×10 pixels" in said(page)
    page.page.get_by_role("slider", name="Depth").focus()
    page.press("ArrowLeft")
    assert "reads 6×6 pixels" in said(page)
    page.press("ArrowRight")
    page.page.locator(".field-picture").focus()
    before = result(page)
    page.press("ArrowDown", "ArrowDown")
    assert result(page) != before
    widget.get_by_role("combobox").select_option("fundus")
    assert "For the design task: field 68" in widget.inner_text()


@pytest.mark.parametrize("number", WIDGETS)
def test_no_step_solves_a_task(open_page, studio: StudioCommand, number: int) -> None:
    page = open_page(studio, f"#/learn/{number}", rest=False)
    chapter(page, number)
    for step in range(1, page.page.locator("li.step").count() + 1):
        chapter(page, number, step)
        page.page.evaluate(TWO_FRAMES)
        assert not page.page.locator('.tasks li[data-done="true"]').count(), f"step {step}"
        assert not page.page.locator(".tasks .bad").count(), f"step {step} asks for a prediction"


def test_the_design_task_takes_every_layer_that_is_offered(open_page, studio: StudioCommand) -> None:
    page = open_page(studio, "#/learn/6", rest=False)
    chapter(page, 6, step=7)
    widget = page.page.locator(".fields-widget")
    widget.get_by_role("button", name="Remove all").click()
    dilated, pooled = "3×3, dilation 2", "3×3 pooling, stride 2"
    for name in ("3×3", "3×3", pooled, dilated, dilated, pooled, dilated, dilated, pooled, *([dilated] * 5)):
        assert not done(page, "fundus")
        widget.get_by_role("button", name=f"+ {name}", exact=True).click()
    assert "field 227, first field 5, 64×64 cells left" in widget.inner_text() and done(page, "fundus")


def test_a_network_of_the_timeline_opens_in_explore(open_page, studio: StudioCommand) -> None:
    page = open_page(studio, "#/learn/7", rest=False)
    chapter(page, 7, step=2)
    card = page.page.locator(".network-card")
    assert "AlexNet" in card.inner_text() and "In the challenge of 2012: AlexNet" in card.inner_text()
    assert page.page.get_by_role("slider", name="Network, by year").get_attribute("aria-valuetext") == "AlexNet, 2012"
    assert card.get_by_role("link").get_attribute("href") == "#/explore?v=1&m=alexnet-2012"
    page.page.locator(".player input[type=range]").focus()
    page.press("ArrowRight")
    assert card.locator("h3").inner_text() != "AlexNet"
    chapter(page, 7, step=4)
    assert "Sigmoid" in result(page)
    page.page.get_by_role("button", name="ReLU", exact=True).click()
    assert "the network with ReLU, as" in said(page) and "after 12 epochs" in said(page)
    page.page.locator(".widget").get_by_role("button", name="Labs").click()
    lab = page.page.locator("form.lab").nth(1)
    lab.get_by_role("textbox").fill("nothing")
    page.faults.expect("404")
    lab.get_by_role("button", name="Check").click()
    lab.get_by_text("there is no folder").wait_for()


def test_a_number_is_followed_down_to_the_pixels(open_page, studio: StudioCommand) -> None:
    page = open_page(studio, "#/learn/8", rest=False)
    chapter(page, 8)
    page.page.locator('figure[data-panel="scores"] .heat').focus()
    page.press("ArrowRight")
    worked = page.page.locator(".arithmetic-card")
    assert "sum of 18 products, plus the bias" in worked.inner_text()
    worked.locator(".followed").first.click()
    assert "the largest of four" in worked.inner_text()
    worked.locator(".followed").first.click()
    worked.locator(".followed").first.click()
    assert "sum of 9 products, plus the bias" in worked.inner_text()
    worked.locator(".followed").first.click()
    assert "A pixel of the image" in worked.inner_text()
    for said_of in ("sum of 9 products", "the larger of 0", "the largest of four", "sum of 18 products"):
        worked.get_by_role("button", name="Back").click()
        assert said_of in worked.inner_text()
    assert not worked.get_by_role("button", name="Back").count()
    chapter(page, 8, step=5)
    assert "Measured: loss" in worked.inner_text() and not done(page, "check")
    weights = page.page.locator('figure[data-panel="d_weights"] .heat')
    weights.focus()
    page.press("ArrowDown", "End")
    assert "class 1, pooled value 18" in worked.inner_text() and "Measured: loss" in worked.inner_text()
    page.page.locator('li[data-task="check"][data-done="true"]').wait_for()


@pytest.mark.long
def test_no_width_scrolls_sideways(open_page, studio: StudioCommand) -> None:
    page = open_page(studio, "#/learn/5", rest=False)
    for number in WIDGETS:
        chapter(page, number)
        for name, (width, height) in SIZES.items():
            page.page.set_viewport_size({"width": width, "height": height})
            screenshot(page.page, f"learn-{number}-{name}")
            content, window = widest(page.page)
            assert content <= window, f"chapter {number} at {width} px is {content} px wide"
            assert not cut_off(page.page), f"chapter {number} at {width} px"
            for step in range(1, page.page.locator("li.step").count() + 1):
                chapter(page, number, step)
                assert page.page.evaluate(FITS), f"chapter {number}, step {step} at {width} px"


# Whether the widget fits into its frame, and the text of its charts has the page's size.
FITS = """async () => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const widget = document.querySelector(".widget");
  const charts = widget.querySelectorAll(".timeline-chart svg, .norms-chart svg, .axis-drawing svg");
  const scales = [...charts].map((svg) => svg.getScreenCTM().a);
  return widget.scrollWidth <= widget.clientWidth && scales.every((scale) => scale > 0.9);
}"""

SLIDE = """async (selector) => {
  const slider = document.querySelector(selector);
  const times = [];
  for (let move = 0; move < 60; move += 1) {
    const began = performance.now();
    slider.value = String(Number(slider.min) + (move % (Number(slider.max) - Number(slider.min) + 1)));
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    times.push(performance.now() - began);
  }
  return times.sort((a, b) => a - b)[Math.floor(times.length * 0.95)];
}"""


@pytest.mark.long
@pytest.mark.parametrize(("number", "step"), [(5, 1), (5, 4), (6, 3), (6, 5), (7, 1), (8, 2)])
def test_a_slider_is_answered_within_one_frame(open_page, studio: StudioCommand, number: int, step: int) -> None:
    page = open_page(studio, "#/learn/5", rest=False)
    chapter(page, number, step)
    # Two frames pass between the first and the last callback; the answer is to be there in the first.
    slowest = page.page.evaluate(SLIDE, ".widget input[type=range]")
    assert slowest <= 2 * 17 + 20, f"chapter {number}, step {step}: {slowest:.1f} ms"


def test_what_can_not_be_loaded_takes_nothing_else_away(open_page, studio: StudioCommand) -> None:
    """One line says what failed; it is asked for again where the learner says so, and never by itself."""
    page = open_page(studio, "#/learn/5", rest=False)
    page.faults.expect("Failed to load resource")
    chapter(page, 5)
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=500, json={"error": "the disk is away", "kind": "internal"})

    refused = re.compile(r"picture=star|effective-fields")
    page.page.route(refused, refuse)
    pictures, problem = page.page.get_by_role("combobox", name="Picture"), page.page.locator(".widget .problem")
    pictures.select_option("star")
    assert problem.inner_text().startswith("A part of this widget could not be loaded: the disk is away")
    assert page.page.locator(".pooling-widget .figures figure").count() == 2 and pictures.input_value() == "ring"
    page.page.unroute(refused)
    problem.get_by_role("button").click()
    problem.wait_for(state="detached")
    pictures.select_option("star")
    page.page.wait_for_function("() => !document.querySelector('.widget .problem')")
    page.page.route(refused, refuse)
    chapter(page, 6)
    page.page.get_by_role("button", name="A trained network", exact=True).click()
    problem.wait_for()
    page.page.get_by_role("button", name="A stack of layers", exact=True).click()
    assert page.page.locator(".layer-table").is_visible() and len(asked) == 2
    page.page.unroute(refused)
    page.page.get_by_role("button", name="A trained network", exact=True).click()
    problem.get_by_role("button").click()
    page.page.locator(".fields-widget .figures.three").wait_for()
    assert not problem.count()
    # Where one part can't be loaded, the other one is waited for.
    held: list[Route] = []
    page.page.route(re.compile("record/history"), refuse)
    page.page.route(re.compile("record/gradient-norms"), lambda route: held.append(route))
    page.go("#/learn/7", rest=False)
    problem.wait_for()
    assert not page.page.locator(".widget .spinner").count()
    page.page.get_by_role("button", name="Gradients by layer").click()
    page.page.locator(".widget .spinner").wait_for()
    held[0].continue_()
    page.page.locator(".norms-chart").wait_for()
    assert problem.count() == 1

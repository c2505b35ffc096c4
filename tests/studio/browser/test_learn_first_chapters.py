"""Chapters 1 to 4 followed as they are written: what a step tells the reader to do shows what it says; the tasks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from convscope.course.chapters.volumes import CHAPTER as VOLUMES
from studio_browser import violations

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from studio_command import StudioCommand
    from studio_page import StudioPage

Open = Callable[..., "StudioPage"]
NUMBERS = (1, 2, 3, 4)


def _step(shown: StudioPage, chapter: int, step: int) -> Locator:
    """Open a chapter at a step and return its widget."""
    shown.go(f"#/learn/{chapter}?step={step}", rest=False)
    page = shown.page
    page.locator(f'article[data-chapter="{chapter}"] .step[data-step="{step}"][data-current="true"]').wait_for()
    page.locator(".widget .tasks").wait_for()
    return page.locator(".widget")


def _done(shown: StudioPage, task: str) -> None:
    shown.page.locator(f'li[data-task="{task}"][data-done="true"]').wait_for()


@pytest.mark.long
@pytest.mark.parametrize("number", NUMBERS)
def test_the_steps_solve_no_task(open_page: Open, studio: StudioCommand, number: int) -> None:
    shown = open_page(studio, f"#/learn/{number}", rest=False)
    page = shown.page
    page.locator(".step").first.wait_for()
    for step in range(1, page.locator(".step").count() + 1):
        _step(shown, number, step)
        page.wait_for_timeout(200)
        assert page.locator('[data-task][data-done="true"]').count() == 0, step
    for button in page.get_by_role("button", name=re.compile("Try it: step")).all():
        button.click()
        page.wait_for_timeout(200)
        assert page.locator('[data-task][data-done="true"]').count() == 0


def test_a_unit_and_a_filter(open_page: Open, studio: StudioCommand) -> None:
    shown = open_page(studio, "#/learn/1?step=3", rest=False)
    widget = _step(shown, 1, 3)
    page = shown.page
    widget.get_by_label("Your prediction").fill("250")
    side = widget.get_by_role("spinbutton", name="Image side")
    for number, sum_ in ((288, "248,833,000"), (289, "250,564,000")):
        side.fill(str(number))
        side.press("Enter")
        page.locator("output", has_text=f"= {sum_}").wait_for()
    page.get_by_text("You predicted 250; it is 289.").wait_for()
    _step(shown, 1, 6)
    widget.get_by_text("The fully connected unit gives 4.").wait_for()
    widget.get_by_role("application").focus()
    shown.press("ArrowUp", "ArrowUp", "ArrowLeft")
    widget.get_by_text("The pattern begins in row 3, column 3.").wait_for()
    widget.get_by_text("The fully connected unit gives 14.").wait_for()
    page.locator("[aria-live]", has_text="The fully connected unit gives 14.").wait_for(state="attached")
    widget.get_by_label("Shuffled pixels").check()
    widget.get_by_text("The fully connected unit gives 14.").wait_for()
    said = page.locator('.step[data-step="8"]').inner_text()
    largest = re.search(r"largest value is (\d+) instead of 14", said)
    assert largest, said
    widget.get_by_text(f"The filter's largest value is {largest[1]}").wait_for()
    assert violations(page) == []
    widget.get_by_label("Shuffled pixels").uncheck()
    widget.get_by_role("application").focus()
    shown.press("End", "Shift+ArrowDown")
    _done(shown, "shift")
    _step(shown, 1, 1)
    for name in ("Units", "Image side"):
        widget.get_by_role("spinbutton", name=name).fill("8")
        widget.get_by_role("spinbutton", name=name).press("Enter")
    _done(shown, "equal")


def test_cells_of_a_map_stay_once_they_are_shown(open_page: Open, studio: StudioCommand) -> None:
    shown = open_page(studio, "#/learn/2?step=1", rest=False)
    widget = _step(shown, 2, 1)
    page = shown.page
    cells = widget.get_by_role("application", name="Map of 4 rows").locator("text")
    widget.get_by_role("application", name="Map of 4 rows").wait_for()
    assert cells.all_text_contents()[:2] == ["−5", ""]
    _step(shown, 2, 3)
    page.wait_for_function("() => document.querySelectorAll('.convolved .later').length === 0")
    assert cells.all_text_contents() == ["0", "30", "30", "0"] * 4
    widget.get_by_role("combobox", name="Image").select_option("dark | bright")
    widget.get_by_label("ReLU").check()
    page.wait_for_function("() => !document.querySelector('.convolved').textContent.includes('30')")
    assert set(cells.all_text_contents()) == {"0"}
    widget.get_by_role("application", name="Map of 4 rows").focus()
    shown.press("ArrowRight")
    page.locator("[aria-live]", has_text="row 1, column 2: 0").wait_for(state="attached")  # −30 before ReLU
    widget.get_by_role("combobox", name="Kernel", exact=True).select_option("horizontal")
    _done(shown, "zero")
    _step(shown, 2, 5)
    page.wait_for_function("() => document.querySelectorAll('.convolved .later').length === 0")
    assert [int(text) for text in cells.all_text_contents() if text != "0"] == list(range(1, 10))
    widget.get_by_role("button", name="In networks").click()
    page.wait_for_function("() => document.querySelectorAll('.convolved svg')[1].textContent.startsWith('987')")
    _step(shown, 2, 6)
    laid = widget.get_by_role("img", name="Response as it lies on the signal: flipped: 1, 2, 4")
    laid.wait_for()
    assert violations(page) == []


def test_the_numbers_on_the_axis(open_page: Open, studio: StudioCommand) -> None:
    shown = open_page(studio, "#/learn/3?step=3", rest=False)
    widget = _step(shown, 3, 3)
    page = shown.page
    page.locator(".strip .pixel-number").first.wait_for()
    assert widget.locator(".pixel-number").all_text_contents() == [str(number) for number in range(1, 8)]
    padding = widget.get_by_role("spinbutton", name="Padding")
    padding.fill("0")
    padding.press("Enter")
    page.locator(
        ".findings", has_text="first corner: 1, the middle of its edge: 3, the middle of the image: 9"
    ).wait_for()
    _step(shown, 3, 7)
    page.locator(".legend", has_text="many terms").wait_for()
    assert "windows" not in widget.locator(".beside").inner_text()
    kernel = widget.get_by_role("spinbutton", name="Kernel size")
    kernel.fill("4")
    kernel.press("Enter")
    _done(shown, "even")


def test_groups_that_do_not_fit_and_the_costs(open_page: Open, studio: StudioCommand) -> None:
    shown = open_page(studio, "#/learn/4?step=2", rest=False)
    widget = _step(shown, 4, 2)
    widget.get_by_role("button", name="two", exact=True).click()
    widget.get_by_text("2 groups need a number of channels and a number of filters that 2 divides.").wait_for()
    _step(shown, 4, 7)
    asked = VOLUMES.numbers()
    widget.get_by_text(f"= {asked['depthwise_small']}", exact=False).first.wait_for()
    assert f"= {asked['depthwise_macs']}" in widget.inner_text()
    assert widget.locator("output").count() == 3  # what a screen reader is told of each change
    widget.get_by_label("1×1 filters").uncheck()
    widget.get_by_role("application", name="Channel 1").focus()
    shown.press("Shift+ArrowDown")  # beyond the last window, which stays the chosen one
    shown.page.locator("[aria-live]", has_text="Window from row 3, column 1: sum").wait_for(state="attached")
    widget.get_by_role("button", name="one", exact=True).click()
    widget.get_by_label("1×1 filters").check()
    widget.get_by_role("spinbutton", name="Filters").fill("4")
    widget.get_by_role("spinbutton", name="Filters").press("Enter")
    _done(shown, "macs")
    assert violations(shown.page) == []

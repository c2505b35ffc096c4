"""Train in a real browser: from a form to a report; by the keyboard; runs of a terminal; two runs compared."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convscope.runs.events import this_host
from convscope.runs.run_directory import Run
from studio_browser import SIZES, screenshot, violations, widest
from studio_runs import HOSTILE, add, make_run, row

if TYPE_CHECKING:
    from studio_command import StudioCommand
    from studio_page import StudioPage

Start = Callable[..., "StudioCommand"]
Open = Callable[..., "StudioPage"]
STATE = "[data-run-shown][data-state={}]"
# Long enough that it runs until it is stopped.
EPOCHS = "5000"


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A training that was started in a terminal, in the folder of the test."""
    words = ["train", "digits", "--model", "lenet5", "--epochs", EPOCHS, "--autotune", "rules", "--threads", "1"]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "convscope", *words, "--name", "terminal"],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    yield process
    process.kill()
    process.wait()


@pytest.fixture(autouse=True)
def _no_training_is_left(tmp_path: Path) -> Iterator[None]:
    """End the trainings of a test: they outlive the studio that has started them."""
    yield
    for path in (tmp_path / "runs").glob("*/status.json"):
        status = Run(path.parent).status()
        if status is not None and status.state == "training" and status.host == this_host() and status.pid > 1:
            with suppress(OSError):
                os.kill(status.pid, signal.SIGKILL)


@pytest.mark.long
def test_a_training_from_its_form_to_its_report(start: Start, open_page: Open) -> None:
    studio = start()
    shown = open_page(studio, "#/train?v=1&new=1", rest=False)
    page = shown.page
    page.get_by_label("model", exact=True).select_option("lenet5")
    page.get_by_label("epochs", exact=True).fill("many")
    page.get_by_role("button", name="Start").click()
    assert "give a whole number, or auto" in page.locator(".wrong").inner_text()
    page.get_by_label("epochs", exact=True).fill(EPOCHS)
    page.get_by_label("Run name").fill(HOSTILE[0])
    assert violations(page) == []
    page.get_by_role("button", name="Forecast").click()
    page.get_by_role("heading", name="Forecast").wait_for(timeout=60_000)
    screenshot(page, "train-forecast")
    page.get_by_role("button", name="Start").click()
    page.locator(STATE.format("training")).wait_for(timeout=60_000)
    page.locator(".tiles.maps canvas").first.wait_for(timeout=30_000)
    first = page.locator(".live > p").inner_text()
    page.wait_for_function("text => document.querySelector('.live > p').innerText !== text", arg=first)
    assert page.locator("figure.chart table.hidden-text").count() == 5
    assert violations(page) == []
    screenshot(page, "train-live")
    page.get_by_role("button", name="Pause").click()
    page.locator(STATE.format("paused")).wait_for()
    place = page.locator(".place").inner_text()
    page.wait_for_timeout(700)
    assert page.locator(".place").inner_text() == place
    page.get_by_role("button", name="Continue").click()
    page.locator(STATE.format("training")).wait_for()
    page.get_by_role("button", name="Stop").click()
    page.locator(STATE.format("stopped")).wait_for(timeout=60_000)
    page.get_by_text("Scores by class").wait_for()
    screenshot(page, "train-stopped")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Report").click()
    opened.value.wait_for_load_state()
    assert HOSTILE[0] in opened.value.locator("body").inner_text()
    opened.value.close()
    page.locator("[data-saved]").first.click()
    shown.page.wait_for_function("() => location.hash.startsWith('#/explore')")
    assert shown.state["m"] == f"run:{HOSTILE[0]}@best"
    # What is saved meanwhile is among the epochs once another one is chosen.
    slider = page.locator(".epochs input")
    most = int(slider.get_attribute("max") or 0)
    newest = max((studio.folder / "runs" / HOSTILE[0] / "checkpoint").glob("step-*"))
    shutil.copytree(newest, newest.with_name("step-999999"))
    slider.press("Home")
    slider.press("End")
    page.wait_for_function("most => Number(document.querySelector('.epochs input')?.max) > most", arg=most)


FORECAST = {
    **{"model": "lenet5", "parameters": 1, "epochs": 1, "steps": 1, "batch_size": 1, "classes": ["a", "b"]},
    **{"images": {"training": 2}, "faster": [], "reasons": [], "notices": []},
    "forecast": {"seconds": 1.0, "earliest": None, "step_bytes": None, "run_bytes": 1, "cache_bytes": 1},
}


def test_a_form_that_is_opened_again_has_no_forecast_of_a_set_that_is_gone(page: StudioPage) -> None:
    page.go("#/train?v=1&new=1")
    options = page.ask("/api/train/options")
    photos = {"id": "set-1", "title": "photos", "kind": "folder", "images": None, "classes": 2}
    shown = {**options, "sets": [*options["sets"], photos]}
    page.page.route("**/api/train/options", lambda route: route.fulfill(json=shown))
    page.page.route("**/api/train/forecast", lambda route: route.fulfill(json=FORECAST))
    page.go("#/learn")
    page.go("#/train?v=1&new=1")
    page.page.get_by_label("Data set").select_option("set-1")
    page.page.get_by_role("button", name="Forecast").click()
    heading = page.page.get_by_role("heading", name="Forecast")
    heading.wait_for()
    page.go("#/learn")
    page.go("#/train?v=1&new=1")
    page.page.wait_for_timeout(100)
    assert heading.is_visible(), "its set is there yet"
    shown = options
    page.go("#/learn")
    page.go("#/train?v=1&new=1")
    heading.wait_for(state="hidden")
    assert page.page.get_by_label("Data set").input_value() == options["sets"][0]["id"]


@pytest.mark.long
def test_a_run_of_a_terminal_looks_the_same_and_says_why_it_died(
    start: Start, open_page: Open, endless: subprocess.Popen[bytes]
) -> None:
    shown = open_page(start(), "#/train?v=1&run=terminal", rest=False)
    shown.faults.expect("404")  # it has no run directory yet
    page = shown.page
    page.locator(STATE.format("training")).wait_for(timeout=60_000)
    page.locator(".tiles.filters canvas").first.wait_for(timeout=30_000)
    # By keys alone: a curve is read, the training is paused and goes on.
    page.locator(".chart .plot").first.focus()
    page.keyboard.press("End")
    page.wait_for_function(
        "() => /epoch \\d+, training/.test(document.querySelector('.chart [aria-live]').textContent)"
    )
    page.get_by_role("button", name="Pause").focus()
    page.keyboard.press("Enter")
    page.locator(STATE.format("paused")).wait_for()
    page.get_by_role("button", name="Continue").focus()
    page.keyboard.press("Enter")
    page.locator(STATE.format("training")).wait_for()
    endless.kill()
    page.locator(STATE.format("failed")).wait_for(timeout=15_000)
    assert " is gone; its last line: " in page.locator(".train-run .problem").inner_text()


@pytest.mark.long
def test_hostile_runs_are_listed_compared_and_fit_every_window(tmp_path: Path, start: Start, open_page: Open) -> None:
    for number, name in enumerate(HOSTILE):
        run = make_run(tmp_path / "runs" / name)
        add(run, row(number + 1))
    shown = open_page(start(), "#/train?v=1", rest=False)
    page = shown.page
    page.locator(".run-row").nth(len(HOSTILE) - 1).wait_for()
    found = page.evaluate("() => [...document.querySelectorAll('.run-row')].map((row) => row.dataset.run)")
    assert sorted(found) == sorted(HOSTILE)
    for name in (HOSTILE[0], HOSTILE[3]):
        page.locator(".run-row input").nth(found.index(name)).check()
    page.get_by_role("button", name="Compare 2 runs").click()
    page.get_by_role("heading", name="Settings that differ").wait_for()
    assert violations(page) == []
    link = shown.link
    shown.go("#/train?v=1&run=gone", rest=False)
    page.get_by_text("there is no run 'gone'").wait_for()
    shown.faults.expect("404")
    shown.go(link, rest=False)
    page.get_by_role("heading", name="Results").wait_for()
    for name, (width, height) in SIZES.items():
        for scheme in ("light", "dark"):
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            assert widest(page)[0] <= widest(page)[1], (name, scheme)
            screenshot(page, f"train-compare-{name}-{scheme}")
    assert violations(page) == []

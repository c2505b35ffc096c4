"""One browser and one studio for the tests of this folder; a page for each test, and none may do anything wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hostile_files import untrained_run
from studio_browser import PageFaults, new_context, running_browser
from studio_command import StudioCommand, start_studio
from studio_networks import HOSTILE, HOSTILE_RUN, stranger_file
from studio_page import StudioPage

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Start = Callable[..., StudioCommand]
Open = Callable[..., StudioPage]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with running_browser() as found:
        yield found


@pytest.fixture
def start(tmp_path: Path, browser: Browser) -> Iterator[Start]:
    """Start a studio of the test's own, in the test's folder."""
    with ExitStack() as stack:

        def started(*arguments: str | Path, **settings: Any) -> StudioCommand:
            found = start_studio(*arguments, folder=settings.pop("folder", tmp_path), **settings)
            stack.callback(found.stop)
            return found

        yield started


@pytest.fixture(scope="package")
def studio(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[StudioCommand]:
    """A studio with a stranger's network and a run, shared by the tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("studio")
    untrained_run(folder / "runs" / HOSTILE_RUN, "digits", (HOSTILE, "b\u202egnp.exe", "c" * 300, *map(str, range(7))))
    found = start_studio(stranger_file(folder), "--input", "3x32x32", folder=folder)
    yield found
    found.stop()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open the page of a studio in a context of its own, `link` behind its address."""
    with ExitStack() as stack:

        def opened(studio: StudioCommand, link: str = "", *, rest: bool = True, **settings: Any) -> StudioPage:
            context, faults = stack.enter_context(new_context(browser, studio.origin, **settings))
            page = StudioPage(context.new_page(), studio, faults)
            page.go(link, rest=rest)
            return page

        yield opened


@pytest.fixture
def page(open_page: Open, studio: StudioCommand) -> StudioPage:
    """The shared studio's page."""
    return open_page(studio)


@pytest.fixture
def faults(page: StudioPage) -> PageFaults:
    return page.faults

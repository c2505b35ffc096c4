"""One state as one file: opened from the disk with the network cut, it still lights fields and steps into numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from studio_browser import new_context, screenshot, violations, widest
from studio_command import StudioCommand
from studio_page import StudioPage

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LIMIT = 3_000_000  # bytes


def exported(page: StudioPage, link: str, folder: Path) -> Path:
    """Export a state through the menu, and return the file."""
    page.go(link)
    with page.page.expect_download() as download:
        page.share("offline")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    assert path.suffix == ".html" and path.stat().st_size <= LIMIT
    return path


def look_offline(browser: Browser, path: Path, studio: StudioCommand, name: str) -> None:
    """Open the file without a network: a field follows the pointer, a number is worked out, an operand opened."""
    with new_context(browser, path.as_uri(), offline=True) as (context, faults):
        faults.origin = path.parent.as_uri()
        page = StudioPage(context.new_page(), studio, faults)
        page.page.goto(path.as_uri())
        page.rest()
        screenshot(page.page, f"offline-{name}")
        assert page.channels and page.painted(".map-tile canvas")
        cell = page.cell
        rows, columns = page.page.locator(".map-tile canvas").first.evaluate("c => [c.height, c.width]")
        lit = set()
        for at in ((0, 0), (rows // 2, columns // 2)):
            page.hover(page.channels[0], at, (rows, columns))
            lit.add(tuple(page.lit or ()))
        assert len(lit) == 2 and () not in lit, "the field does not follow the pointer"
        page.step_into(page.largest_operand)
        assert page.cell != cell
        page.page.go_back()
        page.rest()
        assert page.cell == cell
        content, window = widest(page.page)
        assert content <= window
        assert not violations(page.page)


def test_a_state_as_one_file(browser: Browser, page: StudioPage, studio: StudioCommand, tmp_path: Path) -> None:
    path = exported(page, "#/explore?v=1&m=given&i=sample:0&l=again&c=2&at=3,4", tmp_path)
    look_offline(browser, path, studio, "stranger")


@pytest.mark.long
@pytest.mark.parametrize(
    ("model", "value", "at"),
    [("resnet18", "layer2.0.conv2", "14,14"), ("densenet121", "features.denseblock1.denselayer2.conv2", "20,20")],
)
def test_large_networks_as_one_file(
    browser: Browser, page: StudioPage, studio: StudioCommand, tmp_path: Path, model: str, value: str, at: str
) -> None:
    page.page.context.set_default_timeout(90_000)
    path = exported(page, f"#/explore?v=1&m={model}&i=sample:0&l={value}&c=3&at={at}", tmp_path)
    look_offline(browser, path, studio, model)

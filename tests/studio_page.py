"""The page of the studio as a person uses it. Every selector of the tests stands here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from studio_browser import PageFaults
    from studio_command import StudioCommand

# The page is at rest: the compute process is up, and every answer asked for is painted.
_AT_REST = "() => document.body.dataset.stage === 'ready' && document.body.dataset.busy === '0'"
Box = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number that the page works out: where it is and what it is.

    Args:
        value: the name of its layer or operation, or "input".
        channel: its channel.
        at: its row and column.
        number: as the page states it in full.
    """

    value: str
    channel: int
    at: tuple[int, int]
    number: float


class StudioPage:
    """One tab.

    Args:
        page: Playwright's.
        studio: the command that serves it.
        faults: what it does wrong.
    """

    def __init__(self, page: Page, studio: StudioCommand, faults: PageFaults) -> None:
        self.page, self.studio, self.faults = page, studio, faults
        self._entered = False

    # Where it is

    def go(self, link: str = "") -> None:
        """Open a link, "#/explore?m=lenet5" or "" for the start, and wait until the page is at rest."""
        if not self._entered:
            self.page.goto(self.studio.address + link)
            self._entered = True
        else:
            self.page.goto(f"{self.studio.origin}/{link}")
        self.rest()

    def explore(self, **state: object) -> None:
        """Open a state of the Explore room, given by the keys of the link."""
        self.go(link_of("explore", state))

    def rest(self) -> None:
        """Wait until the page is at rest."""
        self.page.wait_for_function(_AT_REST)

    @property
    def link(self) -> str:
        """The fragment of the address, with "#"."""
        return "#" + self.page.url.partition("#")[2]

    @property
    def state(self) -> dict[str, str]:
        """The keys and values of the link."""
        return dict(parse_qsl(self.link.partition("?")[2], keep_blank_values=True))

    # What it says

    @property
    def text(self) -> str:
        """All text that is visible."""
        return self.page.locator("body").inner_text()

    def messages(self) -> list[str]:
        """What the page says has happened."""
        said = self.page.locator("[role=alert], [role=status]").all_inner_texts()
        return [text.strip() for text in said if text.strip()]

    def says(self, pattern: str) -> str:
        """Wait for a message that matches, and return it."""
        found = self.page.locator("[role=alert], [role=status]").filter(has_text=re.compile(pattern, re.IGNORECASE))
        found.first.wait_for()
        return found.first.inner_text()

    # The tree

    def units(self) -> list[str]:
        """The units of the tree that are shown."""
        found = self.page.locator("[role=treeitem]").evaluate_all("rows => rows.map(row => row.dataset.unit)")
        return [str(one) for one in found]

    def unit(self, name: str) -> Locator:
        """A row of the tree."""
        return self.page.locator(f"[role=treeitem][data-unit={quoted(name)}]")

    def select(self, name: str) -> None:
        """Choose a unit of the tree."""
        self.unit(name).click()
        self.rest()

    def search(self, words: str) -> None:
        """Type into the search of layers."""
        self.page.get_by_role("searchbox").fill(words)

    # Maps, field, number

    def maps(self) -> list[int]:
        """The channels whose maps are shown, in the page's order."""
        found = self.page.locator("canvas[data-channel]").evaluate_all("all => all.map(map => +map.dataset.channel)")
        return [int(one) for one in found]

    def map(self, channel: int) -> Locator:
        """The map of a channel."""
        return self.page.locator(f"canvas[data-channel='{channel}']").first

    def hover(self, channel: int, at: tuple[int, int], shape: tuple[int, int]) -> None:
        """Move the pointer over a cell (row, column) of a map of shape (rows, columns)."""
        self.map(channel).hover(position=self._place(self.map(channel), at, shape))

    def click(self, channel: int, at: tuple[int, int], shape: tuple[int, int]) -> None:
        """Click a cell of a map and wait for what it opens."""
        self.map(channel).click(position=self._place(self.map(channel), at, shape))
        self.rest()

    def lit(self) -> Box:
        """The box that is lit on the image, half open: first row, first column, row and column after the last."""
        found = self.page.locator("[data-image][data-lit]").first.get_attribute("data-lit")
        assert found, "nothing is lit on the image"
        top, left, bottom, right = map(int, found.split(","))
        return top, left, bottom, right

    def number(self) -> Number:
        """The number that is worked out."""
        panel = self.page.locator("[data-cell]").first
        where = panel.get_attribute("data-cell")
        number = panel.get_attribute("data-number")
        assert where is not None and number is not None
        return _number(where, float(number))

    def operands(self) -> list[str]:
        """The operands of the number that can be stepped into, as VALUE:c:y,x."""
        found = self.page.locator("[data-operand]").evaluate_all("all => all.map(one => one.dataset.operand)")
        return [str(one) for one in found]

    def step_into(self, operand: str) -> None:
        """Step into an operand."""
        self.page.locator(f"[data-operand={quoted(operand)}]").first.click()
        self.rest()

    @staticmethod
    def _place(canvas: Locator, at: tuple[int, int], shape: tuple[int, int]) -> Any:
        box = canvas.bounding_box()
        assert box is not None, "the map is not shown"
        return {"x": (at[1] + 0.5) * box["width"] / shape[1], "y": (at[0] + 0.5) * box["height"] / shape[0]}


def link_of(room: str, state: Mapping[str, object]) -> str:
    """Return the link of a state."""
    return f"#/{room}?{urlencode({'v': 1, **state}, safe=':,;@/')}"


def quoted(text: str) -> str:
    """Return a text as a string of CSS.

    >>> quoted('a"b')
    '"a\\\\"b"'
    """
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _number(where: str, number: float) -> Number:
    value, channel, at = where.rsplit(":", 2)
    row, column = at.split(",")
    return Number(value=value, channel=int(channel), at=(int(row), int(column)), number=number)

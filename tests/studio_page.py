"""The page of the studio as a person uses it. Every selector of the tests stands here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from studio_browser import PageFaults
    from studio_command import StudioCommand

# A room is drawn, nothing is asked for, and what was answered is painted: three frames in a row.
_AT_REST = """() => {
  const still = document.querySelector(".explore, .train-room > *, .learn-room h2") &&
    !document.querySelector(".status .busy, .starting, [aria-busy=true]");
  globalThis.stillFrames = still ? (globalThis.stillFrames ?? 0) + 1 : 0;
  return globalThis.stillFrames > 3;
}"""
# A link is followed in the event that comes after the address has changed.
_FOLLOW = """(link) => new Promise((done) => {
  if (location.hash === link) done();
  addEventListener("hashchange", () => setTimeout(done), {once: true});
  location.hash = link;
})"""
# What a number is computed from: each can be stepped into.
OPERANDS = ".groups button.term, .groups .term-line button:enabled"
_SAFE = "-_.!~*'():,;/@"
Box = tuple[int, int, int, int]


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

    def go(self, link: str = "", *, rest: bool = True) -> None:
        """Open a link, "#/explore?m=lenet5" or "" for the start, and wait until the page is at rest."""
        if not self._entered:
            self.page.goto(self.studio.address + link)
            self._entered = True
        else:
            self.page.evaluate(_FOLLOW, link)
        if rest:
            self.rest()

    def explore(self, **state: object) -> None:
        """Open a state of the Explore room, given by the keys of the link."""
        self.go(link_of("explore", state))

    def rest(self) -> None:
        """Wait until the page is at rest."""
        self.page.evaluate("() => { globalThis.stillFrames = 0; }")
        self.page.wait_for_function(_AT_REST)

    @property
    def link(self) -> str:
        """The fragment of the address, with "#"."""
        return "#" + self.page.url.partition("#")[2]

    @property
    def state(self) -> dict[str, str]:
        """The keys and values of the link."""
        return dict(parse_qsl(self.link.partition("?")[2], keep_blank_values=True))

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    # What it says

    @property
    def text(self) -> str:
        """All text that is visible."""
        return self.page.locator("body").inner_text()

    def says(self, pattern: str) -> str:
        """Wait for a message that matches, and return it."""
        found = self.page.locator("[role=alert], [role=status]").filter(has_text=re.compile(pattern, re.IGNORECASE))
        found.first.wait_for()
        return found.first.inner_text()

    def ask(self, path: str) -> Any:
        """Return the JSON of an address, as the page would get it."""
        asked = "path => fetch(path, {headers: {'x-convscope-tab': 'test'}}).then(answer => answer.json())"
        return self.page.evaluate(asked, path)

    # The tree

    @cached_property
    def tree(self) -> Locator:
        """The tree of blocks."""
        return self.page.get_by_role("tree")

    def rows(self) -> list[str]:
        """The rows of the tree that are drawn, by their first word."""
        return [text.strip() for text in self.page.locator("[role=treeitem] .label").all_inner_texts()]

    def row(self, label: str) -> Locator:
        """The row of the tree with this label."""
        return self.page.locator("[role=treeitem]").filter(
            has=self.page.locator(".label", has_text=re.compile(f"^{re.escape(label)}$"))
        )

    def select(self, label: str) -> None:
        """Choose a unit of the tree."""
        self.row(label).first.click()
        self.rest()

    # Maps, field, number

    @property
    def channels(self) -> list[int]:
        """The channels whose maps are shown, in the page's order; waits for the first."""
        self.page.locator(".map-tile:visible").first.wait_for()
        found = self.page.locator(".map-tile:visible .tag").all_inner_texts()
        return [int(one) for one in found]

    def map(self, channel: int) -> Locator:
        """The map of a channel."""
        tag = self.page.locator(".tag", has_text=re.compile(f"^{channel}$"))
        return self.page.locator(".map-tile:visible").filter(has=tag).locator(".picture")

    def hover(self, channel: int, at: tuple[int, int], shape: tuple[int, int]) -> None:
        """Move the pointer over a cell (row, column) of a map of shape (rows, columns)."""
        self.map(channel).hover(position=_place(self.map(channel), at, shape))

    def click(self, channel: int, at: tuple[int, int], shape: tuple[int, int]) -> None:
        """Click a cell of a map and wait for what it opens."""
        self.map(channel).click(position=_place(self.map(channel), at, shape))
        self.rest()

    def hover_pixel(self, at: tuple[int, int], size: tuple[int, int]) -> None:
        """Move the pointer over a pixel (row, column) of an image of size (rows, columns)."""
        stage = self.page.locator("#stage")
        stage.hover(position=_place(stage, at, size))

    @property
    def lit(self) -> Box | None:
        """The box that is lit on the image, half open: first row, first column, row and column after the last."""
        return self.page.evaluate("""() => {
          const svg = document.querySelector("#stage svg.lit");
          if (!svg || getComputedStyle(svg).visibility === "hidden") return null;
          const [x, y, width, height] = ["x", "y", "width", "height"].map(
            (name) => Number(svg.querySelector(".edge-line").getAttribute(name)));
          return [y, x, y + height, x + width];
        }""")

    def painted(self, selector: str) -> bool:
        """Whether a canvas shows more than one colour."""
        return bool(
            self.page.locator(selector).first.evaluate("""(canvas) => {
          const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return new Set(new Uint32Array(data.buffer)).size > 1;
        }""")
        )

    # Images and files

    def send_image(self, file: Any) -> None:
        """Choose a file, a path or {name, mimeType, buffer}, in the dialog of images."""
        self.dialog("Image").locator("input[type=file]").set_input_files(file)

    def draw_digit(self, strokes: Sequence[tuple[float, float]]) -> None:
        """Draw a line through points (x, y), each a share of the pad's side, and use it."""
        self.dialog("Image").get_by_role("button", name="Draw a digit").click()
        box = self.page.locator(".pad canvas").bounding_box()
        assert box is not None
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in strokes]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=8)
        self.page.mouse.up()
        self.page.locator("dialog button.primary").click()

    def draw_digit_by_keys(self, keys: Sequence[str]) -> str:
        """Draw with keys alone, use the drawing, and return what the page said of the cursor after the last key."""
        self.dialog("Image").get_by_role("button", name="Draw a digit").press("Enter")
        pad = self.page.locator(".pad")
        for key in keys:
            pad.press(key)
        # The frame around the cursor is placed by the box, and the drawing fills it.
        sides = pad.evaluate("p => [p.clientWidth, p.clientHeight, p.firstChild.offsetHeight]")
        assert len(set(sides)) == 1, sides
        said = self.page.locator("dialog [aria-live]").inner_text()
        self.page.locator("dialog button.primary").press("Enter")
        return said

    def dialog(self, title: str) -> Locator:
        """Open the dialog of a picker in the bar, "Model" or "Image", and return it."""
        shown = self.page.locator("dialog[open]")
        if not shown.count():
            self.page.locator(".picker").nth(("Model", "Image").index(title)).click()
        shown.wait_for()
        return shown

    def share(self, item: str) -> None:
        """Choose an item of the menu that hands a state on."""
        self.page.locator(".menu > button").click()
        self.page.locator(".sheet").get_by_role("button", name=item).click()

    # The number

    @property
    def cell(self) -> str:
        """The cell that is worked out, VALUE:c:y,x; the link names it, and the pane shows its number."""
        self.page.locator(".number-head .result:not(:has(.spinner))").wait_for()
        state = self.state
        return f"{state['l']}:{state['c']}:{state['at']}"

    @property
    def number(self) -> float:
        """The number that is worked out, with the digits that are shown."""
        return _float(self.page.locator(".number-head .result").inner_text())

    def operands(self) -> list[float]:
        """The operands that can be stepped into, as numbers, in the order of the pane."""
        texts = self.page.locator(OPERANDS).evaluate_all("all => all.map((one) => one.getAttribute('aria-label'))")
        return [_float(text.rpartition(": ")[2].split()[0]) for text in texts]

    @property
    def largest_operand(self) -> int:
        """Which operand contributes most: its product, or its number where nothing is multiplied."""
        texts = self.page.locator(OPERANDS).evaluate_all("all => all.map((one) => one.getAttribute('aria-label'))")
        sizes = [abs(_float(re.split(": |= ", text)[-1].split()[0])) for text in texts]
        return sizes.index(max(sizes))

    def step_into(self, index: int = 0) -> None:
        """Step into an operand."""
        self.page.locator(OPERANDS).nth(index).click()
        self.rest()


def link_of(room: str, state: Mapping[str, object]) -> str:
    """Return the link of a state, as `convscope.studio.state` writes it."""
    pairs = {"v": 1, **state}.items()
    return f"#/{room}?{'&'.join(f'{key}={quote(str(value), safe=_SAFE)}' for key, value in pairs)}"


def quoted(text: str) -> str:
    """Return a text as a string of CSS."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _place(element: Locator, at: tuple[int, int], shape: tuple[int, int]) -> Any:
    element.scroll_into_view_if_needed()
    box = element.bounding_box()
    assert box is not None, "the map is not shown"
    return {"x": (at[1] + 0.5) * box["width"] / shape[1], "y": (at[0] + 0.5) * box["height"] / shape[0]}


def _float(text: str) -> float:
    """Return a number as the page writes it."""
    return float(text.replace("\u2212", "-").replace("\u221e", "inf").replace(",", ""))

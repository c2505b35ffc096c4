"""The page for everybody: the keyboard alone, screen readers, both themes, any width, large text, less motion."""

from __future__ import annotations

import pytest

from studio_browser import SIZES, cut_off, screenshot, violations, widest
from studio_command import StudioCommand
from studio_page import OPERANDS, StudioPage

EXPLORE = "#/explore?v=1&m=given&i=sample:0&l=again&c=2&at=3,4"
ROOMS = {"explore": EXPLORE, "train": "#/train?v=1", "new": "#/train?v=1&new=1"}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(open_page, studio: StudioCommand, theme: str) -> None:
    page = open_page(studio, color_scheme=theme)
    for name, link in ROOMS.items():
        page.go(link)
        screenshot(page.page, f"axe-{name}-{theme}")
        assert not violations(page.page), f"{name}, {theme}"


@pytest.mark.long
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("dialog", ["model", "other", "image", "search", "keys", "digit", "share", "copy"])
def test_axe_finds_nothing_in_dialogs(open_page, studio: StudioCommand, theme: str, dialog: str) -> None:
    page = open_page(studio, EXPLORE, color_scheme=theme)
    match dialog:
        case "model" | "image":
            page.dialog(dialog.capitalize())
        case "digit":
            page.dialog("Image").get_by_role("button", name="Draw a digit").click()
        case "share":
            page.page.locator(".menu > button").click()
        case "other":
            page.page.get_by_role("button", name="Compare").click()
        case "copy":
            page.share("Copy as Python")
            page.page.get_by_role("button", name="Show", exact=True).click()
        case _:
            page.press({"search": "/", "keys": "?"}[dialog])
    screenshot(page.page, f"dialog-{dialog}-{theme}")
    assert not violations(page.page)


@pytest.mark.long
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_while_the_camera_runs(open_page, studio: StudioCommand, theme: str) -> None:
    page = open_page(studio, EXPLORE, color_scheme=theme, permissions=["camera"])
    dialog = page.dialog("Image")
    dialog.get_by_role("button", name="Camera").click()
    page.page.wait_for_function("() => document.querySelector('video.camera')?.currentTime > 0")
    screenshot(page.page, f"dialog-camera-{theme}")
    assert not violations(page.page)
    page.page.get_by_role("button", name="Take the picture").click()
    page.page.wait_for_function("() => location.hash.includes('i=upload:')")
    assert not page.page.locator("dialog[open]").count()
    assert not page.page.evaluate("document.querySelector('video.camera')?.srcObject"), "the camera stays on"
    page.go("#/learn/2?step=4")
    page.page.evaluate("""() => {
      const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = async (what) => (globalThis.seen = await ask(what));
    }""")
    page.page.get_by_role("button", name="Start the camera").click()
    page.page.get_by_role("button", name="Stop the camera").wait_for()
    screenshot(page.page, f"learn-camera-{theme}")
    assert not violations(page.page)
    page.go("#/train?v=1")
    page.page.wait_for_function("() => seen.getTracks().every((track) => track.readyState === 'ended')")


def test_a_dialog_lists_the_keys_of_its_room(page: StudioPage) -> None:
    for link, own, others in (
        (EXPLORE, "search the blocks", ("projector", "In a chart")),
        ("#/train?v=1", "In a chart", ("search the blocks", "projector")),
        ("#/learn", "projector", ("search the blocks", "In a chart")),
    ):
        page.go(link)
        page.press("?")
        dialog = page.page.locator("dialog[open]")
        dialog.wait_for()
        assert own in dialog.inner_text() and not any(text in dialog.inner_text() for text in others)
        assert not violations(page.page), link
        page.press("Escape")
        dialog.wait_for(state="hidden")


def test_no_width_scrolls_sideways(page: StudioPage) -> None:
    for room, link in ROOMS.items():
        page.go(link)
        for name, (width, height) in SIZES.items():
            page.page.set_viewport_size({"width": width, "height": height})
            page.rest()
            screenshot(page.page, f"size-{room}-{name}")
            content, window = widest(page.page)
            assert content <= window, f"{room} at {width} px is {content} px wide"
            assert not cut_off(page.page), f"{room} at {width} px"


@pytest.mark.long
@pytest.mark.parametrize("scale", [2.0, 4.0])
def test_large_text(open_page, studio: StudioCommand, scale: float) -> None:
    # A window of 1280 px at 400 % has 320 px of the page's.
    for name, link in ROOMS.items():
        page = open_page(studio, link, viewport={"width": int(1280 / scale), "height": int(1024 / scale)})
        screenshot(page.page, f"zoom-{name}-{scale:g}")
        content, window = widest(page.page)
        assert content <= window
        assert not cut_off(page.page)


@pytest.mark.long
def test_a_larger_font_in_the_same_window(page: StudioPage) -> None:
    # As a reader sets it in the browser: the lengths of the page, and the widths at which its layout changes, follow.
    session = page.page.context.new_cdp_session(page.page)
    session.send("Page.setFontSizes", {"fontSizes": {"standard": 32, "fixed": 26}})
    for name, link in ROOMS.items():
        page.go(link)
        page.page.reload()
        page.rest()
        assert page.page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)") > 25
        screenshot(page.page, f"font-200-{name}")
        content, window = widest(page.page)
        assert content <= window
        assert not cut_off(page.page)
        assert not violations(page.page)


# Whether two elements look alike without their colours, which forced colours take away.
ALIKE = """([one, other]) => {
  const look = (selector) => {
    const style = getComputedStyle(document.querySelector(selector));
    const names = ["outlineStyle", "outlineWidth", "borderStyle", "borderWidth", "fontWeight", "strokeWidth"];
    return names.map((name) => style[name]).join();
  };
  return look(one) === look(other);
}"""
TOLD_APART = (
    ('.tree-row[aria-selected="true"]', '.tree-row[aria-selected="false"]'),
    ('.drawing .node[aria-selected="true"] .box', '.drawing .node[aria-selected="false"] .box'),
    ('.segments button[aria-pressed="true"]', '.segments button[aria-pressed="false"]'),
    ('nav a[aria-current="page"]', 'nav a:not([aria-current="page"])'),
)


@pytest.mark.long
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_that_the_system_forces(open_page, studio: StudioCommand, theme: str) -> None:
    page = open_page(studio, EXPLORE, forced_colors="active", color_scheme=theme)
    for name, link in ROOMS.items():
        page.go(link)
        screenshot(page.page, f"forced-colours-{name}-{theme}")
    page.go("#/explore?v=1&m=given&i=sample:0&l=again&c=2")
    page.page.locator(".drawing .node").first.wait_for()
    assert page.painted(".map-tile canvas"), "maps are pictures: their colours stay"
    for one, other in TOLD_APART:
        assert not page.page.evaluate(ALIKE, [one, other]), f"{one} looks as {other} does"


FOCUSED = """() => {
  const at = document.activeElement;
  return at === document.body ? "" : (at.getAttribute("aria-label") || at.textContent || at.tagName).trim();
}"""
IN_DIALOG = "document.activeElement.closest('dialog') !== null || document.activeElement === document.body"


def focused(page: StudioPage) -> str:
    return str(page.page.evaluate(FOCUSED))[:60]


def tab_to(page: StudioPage, selector: str, *, most: int = 60) -> None:
    """Press Tab until an element, or one inside it, has the focus, and the focus can be seen."""
    inside = f"document.activeElement.closest({selector!r}) !== null"
    for _ in range(most):
        page.press("Tab")
        if page.page.evaluate(inside):
            assert page.page.evaluate("document.activeElement.matches(':focus-visible')")
            return
    raise AssertionError(f"{most} times Tab did not reach {selector}; at {focused(page)!r}")


def test_the_keyboard_alone(page: StudioPage) -> None:
    page.go("#/explore?v=1&m=given&i=sample:0")
    # The tree: down to another layer.
    tab_to(page, "[role=tree]")
    before = page.state.get("l")
    page.press("End", "Enter")
    page.rest()
    assert (last := page.state["l"]) != before
    page.press("ArrowLeft", "Enter")  # to the block that it is in, if it is in one
    page.rest()
    assert page.state["l"] == last
    # The drawing: its cursor is seen.
    tab_to(page, ".drawing svg")
    page.press("ArrowLeft")
    at_cursor, other = (
        f'.drawing .node[aria-selected="false"]{one} .box' for one in (".at-cursor", ":not(.at-cursor)")
    )
    assert not page.page.evaluate(ALIKE, [at_cursor, other])
    # Search: to the first convolution.
    page.press("/")
    page.page.keyboard.type("stem")
    page.press("Enter")
    page.rest()
    assert page.state["l"].startswith("stem")
    # The layers between: another one by an arrow key and Enter, which keeps the focus.
    tab_to(page, ".between")
    page.press("ArrowLeft", "Enter")
    page.rest()
    assert page.page.evaluate("document.activeElement.dataset.value") == page.state["l"]
    # A map, its cursor, a field, and the number.
    tab_to(page, "#focus-map")
    page.press("ArrowRight", "ArrowDown")
    assert page.lit is not None, "the cursor of the map lights no field"
    page.press("Enter")
    page.rest()
    value, channel, at = page.cell.rsplit(":", 2)
    assert at == page.state["at"]
    # Into an operand and back.
    tab_to(page, OPERANDS)
    page.press("Enter")
    page.rest()
    assert page.cell != f"{value}:{channel}:{at}"
    page.page.go_back()
    page.rest()
    assert page.cell == f"{value}:{channel}:{at}"


def test_a_control_that_goes_passes_its_focus_on(page: StudioPage) -> None:
    in_form = "() => document.activeElement.closest('form') && {}document.querySelector('.worked')"
    page.go("#/learn/1a?seed=1")
    exercise = page.page.locator("[data-exercise='1a']")
    for _ in range(3):  # the answers are wrong: the button goes
        exercise.locator("input").fill("1")
        exercise.get_by_role("button", name="Check").press("Enter")
    page.page.wait_for_function(in_form.format(""))
    exercise.get_by_role("button", name="New numbers").press("Enter")
    page.page.wait_for_function(in_form.format("!"))
    # A link that leads elsewhere goes with the page that it was on.
    page.page.get_by_role("link", name="Back to chapter 1").press("Enter")
    page.page.wait_for_function("() => document.activeElement.matches('h1')")
    assert "Why not" in page.page.locator("h1").first.inner_text()


# Controls of which most can't have the focus; a key takes #gone away, or what #gone says of itself.
CORNERS = """(takes) => {
  document.querySelector("#corner")?.remove();
  const corner = document.createElement("div");
  corner.id = "corner";
  corner.innerHTML = "<a>no link</a><fieldset disabled><button>off</button></fieldset>"
    + "<fieldset id='around'><a id='gone' href='#'>gone</a></fieldset><button id='next'>next</button>";
  const hidden = document.createElement("button");
  hidden.style.visibility = "hidden";
  corner.prepend(hidden);
  document.querySelector("main").append(corner);
  const gone = corner.querySelector("#gone");
  gone.focus();
  gone.addEventListener("keydown", () => ({
    element: () => gone.parentElement.remove(),
    visibility: () => { gone.style.visibility = "hidden"; },
    address: () => gone.removeAttribute("href"),
    control: () => {
      const button = document.createElement("button");
      gone.replaceWith(button);
      button.focus();
      corner.querySelector("#around").disabled = true;
    },
  })[takes]());
}"""


def test_a_lost_focus_passes_over_what_can_not_have_it(page: StudioPage) -> None:
    page.go("#/learn")
    for takes in ("element", "visibility", "address", "control"):
        page.page.evaluate(CORNERS, takes)
        page.press("x")
        page.page.wait_for_function("() => document.activeElement.id === 'next'")


def test_a_dialog_keeps_and_returns_the_focus(page: StudioPage) -> None:
    page.go("#/explore?v=1&m=given&i=sample:0")
    tab_to(page, ".picker")
    name = focused(page)
    page.press("Enter")
    page.page.locator("dialog[open]").wait_for()
    for _ in range(40):
        page.press("Tab")
        assert page.page.evaluate(
            "document.activeElement.closest('dialog') || document.activeElement === document.body"
        )
    page.press("Escape")
    assert focused(page) == name

"""Images that people send: good ones are shown and run, any other is one line, and the page goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from convscope.studio.protocol import BODY_LIMIT
from hostile_images import DECODED, KEPT_OUT, J, encode, picture
from studio_networks import HOSTILE
from studio_page import StudioPage

if TYPE_CHECKING:
    from studio_command import StudioCommand

Open = Callable[..., StudioPage]

GOOD = {
    "grey of 16 bits": encode(Image.fromarray(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)), "PNG"),
    "with transparency": encode(picture().convert("RGBA"), "PNG"),
    "CMYK": encode(picture().convert("CMYK"), "JPEG"),
    "1x1": encode(Image.new("RGB", (1, 1), "red"), "PNG"),
    "4000x3": encode(Image.new("RGB", (4000, 3), "blue"), "PNG"),
    **{name: DECODED[name]() for name in ("jpeg", "webp", "tiff", "bmp", "gif", "jpeg with a loop in its exif")},
}
UPLOADED = "() => location.hash.includes('upload:')"
FEW = ("empty", "jpeg first half", "png 9000x9000 in ten bytes", "web page", "svg", "heic", "zeros")


def send(page: StudioPage, name: str, content: bytes, kind: str = "image/png") -> None:
    page.send_image({"name": name, "mimeType": kind, "buffer": content})


def test_a_good_image_and_then_hostile_ones(page: StudioPage) -> None:
    page.faults.expect("Failed to load resource.*status of 4")
    page.explore(m="given", i="sample:0", l="stem")
    send(page, f"{HOSTILE}.jpg", J, "image/jpeg")
    page.page.wait_for_function(UPLOADED)
    page.rest()
    key = page.state["i"]
    assert page.page.locator("#stage img").evaluate("i => i.complete && i.naturalWidth > 0")
    for name in FEW:
        make, reason = KEPT_OUT[name]
        send(page, f"{name}.png", make())
        page.says("empty" if name == "empty" else reason)
        assert page.state["i"] == key, "an image that can't be used has replaced the one before"
    assert page.channels


@pytest.mark.long
@pytest.mark.parametrize("name", KEPT_OUT)
def test_every_hostile_image(page: StudioPage, name: str) -> None:
    page.faults.expect("Failed to load resource.*status of 4")
    page.explore(m="given", i="sample:0", l="stem")
    make, reason = KEPT_OUT[name]
    send(page, f"{name}.png", make())
    page.says("empty" if name == "empty" else reason)
    assert page.state["i"] == "sample:0"


@pytest.mark.long
@pytest.mark.parametrize("name", GOOD)
def test_every_good_image(page: StudioPage, name: str) -> None:
    page.explore(m="given", i="sample:0", l="stem")
    send(page, name, GOOD[name])
    page.page.wait_for_function(UPLOADED)
    page.rest()
    assert page.channels


def test_an_image_above_the_limit(page: StudioPage, tmp_path: Path) -> None:
    page.explore(m="given", i="sample:0", l="stem")
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(BODY_LIMIT + 1)
    page.send_image(tmp_path / "large.png")
    page.says(r"20(\.0)? Mi?B")
    assert page.channels


# Drag a file, or text where there is no name, over an element and drop it; returns whether the page answers, so that
# the browser does not open the file.
DROP = """([selector, name]) => {
  const dataTransfer = new DataTransfer();
  if (name) dataTransfer.items.add(new File(["no image"], name)); else dataTransfer.items.add("7", "text/plain");
  const event = (type) => new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer });
  return ["dragover", "drop"].every((type) => !document.querySelector(selector).dispatchEvent(event(type)));
}"""


def test_what_is_dropped_is_sent_or_refused_and_the_page_stays(page: StudioPage) -> None:
    page.faults.expect("Failed to load resource.*status of 4")
    page.explore(m="given", i="sample:0", l="stem")
    assert page.page.evaluate(DROP, ["#stage", "notes.txt"])
    page.says("image")
    page.page.evaluate("() => { Blob.prototype.arrayBuffer = () => Promise.reject(new Error()); }")
    assert page.page.evaluate(DROP, ["body", "photos"])  # as a browser gives a folder
    page.says("photos can't be read: it is a folder")
    # What was said of an image that could not be used goes with the next run.
    page.explore(m="given", i="upload:0123456789abcdef", l="stem")
    page.says("here no more")
    page.page.locator(".status").get_by_role("button", name="Samples").wait_for()
    page.explore(m="given", i="sample:1", l="stem")
    assert "here no more" not in page.text
    page.go("#/learn/1a?seed=1")
    assert page.page.evaluate(DROP, ["body", "a.png"]) and page.link.startswith("#/learn")
    assert page.page.evaluate(DROP, ["[data-exercise] input", "a.png"])
    assert not page.page.evaluate(DROP, ["[data-exercise] input", ""]), "text may be dropped into a field"


@pytest.mark.long
def test_a_drawn_digit_by_the_pointer_and_by_keys(page: StudioPage) -> None:
    page.explore(m="lenet5", i="sample:8")
    page.draw_digit([(0.5, 0.2), (0.5, 0.8)])
    page.page.wait_for_function(UPLOADED)
    page.rest()
    assert page.channels
    drawn = page.state["i"]
    page.explore(m="lenet5", i="sample:8")
    said = page.draw_digit_by_keys(["Shift+ArrowUp", "Space", *["ArrowDown"] * 16, "Space", "ArrowRight"])
    assert said == "Cell 22, 15: the pen is up"
    page.page.wait_for_function(UPLOADED)
    page.rest()
    assert page.channels
    assert page.state["i"] != drawn, "the drawing of the keys is the one before"


@pytest.mark.long
def test_a_picture_of_the_camera(open_page: Open, studio: StudioCommand) -> None:
    page = open_page(studio, "#/explore?m=lenet5&i=sample:8", permissions=["camera"])
    page.dialog("Image").get_by_role("button", name="Camera").click()
    page.page.wait_for_function("() => document.querySelector('video.camera')?.currentTime > 0")
    page.page.get_by_role("button", name="Take the picture").click()
    page.page.wait_for_function(UPLOADED)
    page.rest()
    assert page.channels
    assert page.page.locator("#stage img").evaluate("i => i.naturalWidth > 0")

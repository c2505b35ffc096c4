"""From a block to a pixel: open a network, choose a layer, light a cell's field, follow a number down to the image."""

from __future__ import annotations

from pathlib import Path

import pytest

import convscope
from convscope.interpret.inspection.record import Inspection
from studio_browser import screenshot
from studio_command import StudioCommand
from studio_networks import HOSTILE, odd_file, onnx_file
from studio_page import StudioPage, link_of

CATALOGUE = ("lenet5", "resnet18", "googlenet", "unet", "densenet121")


def lit_box(record: Inspection, layer: str, channel: int, at: tuple[int, int]) -> list[int] | None:
    """Return the pixels that a cell reads: first row and column, row and column after the last."""
    rows, columns = convscope.field(record, layer, at, channel=channel).spans
    return None if rows is None or columns is None else [rows[0], columns[0], rows[1] + 1, columns[1] + 1]


def maps_of(page: StudioPage, model: str) -> list[tuple[str, tuple[int, int, int]]]:
    """Return the values of a network that are maps, in order, with their shapes (C, H, W)."""
    units = page.ask(f"/api/graph/{model}")["units"]
    layers = [unit for unit in units if unit["value"] not in (None, "input") and len(unit["shape"] or ()) == 3]
    shapes = {unit["value"]: unit["shape"] for unit in layers}
    return [(value, tuple(shape)) for value, shape in shapes.items() if shape[1] * shape[2] > 1]


def pixels_of(page: StudioPage, model: str) -> str:
    """Return what the name of a pixel's cell begins with."""
    return f"{page.ask(f'/api/graph/{model}')['units'][0]['value']}:"


def check_layer(page: StudioPage, record: Inspection, value: str, shape: tuple[int, int, int]) -> None:
    """Open a layer, light the fields of three cells, and work out the middle cell."""
    _, rows, columns = shape
    channel = page.channels[0]
    # Away from the rounded corners of a small picture.
    for at in {
        (rows // 8, columns // 8),
        (rows // 2, columns // 2),
        (rows - 1 - rows // 8, columns - 1 - columns // 8),
    }:
        page.hover(channel, at, (rows, columns))
        assert page.lit == lit_box(record, value, channel, at), f"{value}, channel {channel}, cell {at}"
    page.click(channel, (rows // 2, columns // 2), (rows, columns))
    # A click has whole pixels, and a small picture several cells in each.
    name, clicked, at = page.cell.rsplit(":", 2)
    row, column = map(int, at.split(","))
    assert (name, int(clicked)) == (value, channel)
    assert abs(row - rows // 2) <= rows // 32 and abs(column - columns // 2) <= columns // 32


def down_to_a_pixel(page: StudioPage) -> list[str]:
    """Step into the first operand again and again until there is none: a pixel. Return the cells on the way."""
    trail = [page.cell]
    while operands := page.operands():
        assert len(trail) < 400, f"no pixel after 400 steps: {trail[-3:]}"
        page.step_into(0)
        assert page.number == pytest.approx(operands[0], rel=1e-3, abs=1e-6), f"another number than in {trail[-1]}"
        assert page.cell not in trail, f"{page.cell} leads to itself"
        trail.append(page.cell)
    return trail


def block_to_pixel(page: StudioPage, model: str, record: Inspection, *, every: int = 1) -> None:
    """Look at the maps of a network: the lit fields of each `every`-th layer, and from the last down to a pixel."""
    page.explore(m=model, i="sample:0")
    assert page.page.locator(".map-tile:visible").count()
    maps = maps_of(page, model)
    for value, shape in maps[:: max(1, every)]:
        page.explore(m=model, i="sample:0", l=value)
        check_layer(page, record, value, shape)
    screenshot(page.page, f"{model.replace(':', '-')}-number")
    trail = down_to_a_pixel(page)
    assert trail[-1].startswith(pixels_of(page, model))
    page.page.go_back()
    page.rest()
    assert page.cell == trail[-2]


def test_a_strangers_network(page: StudioPage, studio: StudioCommand) -> None:
    record = convscope.inspect(str(studio.folder / "stranger.py:make"), input_shape=(3, 32, 32))
    page.explore(m="given", i="sample:0")
    assert HOSTILE in page.rows(), "the blocks are not listed by their names"
    page.select("again")
    assert page.state["l"].startswith("again")
    assert page.painted(".map-tile canvas")
    value, shape = next(one for one in maps_of(page, "given") if one[0] == page.state["l"])
    check_layer(page, record, value, shape)
    assert down_to_a_pixel(page)[-1].startswith(pixels_of(page, "given"))


def test_what_a_pixel_reaches(page: StudioPage) -> None:
    page.explore(m="given", i="sample:0", l="stem")
    page.hover_pixel((16, 16), (32, 32))
    page.page.wait_for_function("() => [...document.querySelectorAll('.thumb .mark')].some(m => m.dataset.on)")
    assert page.lit == [16, 16, 17, 17]


def test_a_row_of_a_scrolled_tree_takes_the_first_click(page: StudioPage) -> None:
    page.page.set_viewport_size({"width": 1280, "height": 320})
    page.explore(m="given", i="sample:0", l="stem")
    page.tree.evaluate("tree => { tree.scrollTop = tree.scrollHeight; }")
    page.page.wait_for_timeout(100)
    assert page.tree.evaluate("tree => tree.scrollTop") > 0
    box = page.row("last").bounding_box()
    assert box is not None
    page.page.mouse.click(box["x"] + 60, box["y"] + box["height"] / 2)
    page.rest()
    assert page.state["l"] == "last"


def test_escape_ends_a_box_that_is_being_drawn(page: StudioPage) -> None:
    page.explore(m="given", i="sample:0", l="stem", x="blur:1.5")
    page.page.get_by_role("button", name="Occlude", exact=True).click()
    box = page.page.locator("#stage").bounding_box()
    assert box is not None
    page.page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.press("Escape")
    page.page.mouse.up()
    page.rest()
    assert page.state["x"] == "blur:1.5"
    page.page.mouse.move(box["x"] + 40, box["y"] + 40)
    assert page.page.locator(".handle").get_attribute("visibility") == "hidden"


def test_the_choices_follow_the_link(page: StudioPage) -> None:
    page.explore(m="given", i="sample:0", l="stem")
    order, colours = (page.page.locator(".tools select").nth(number) for number in range(2))
    colours.select_option("magma")
    order.select_option("energy")
    page.rest()
    assert (page.state["map"], page.state["order"]) == ("magma", "energy")
    page.explore(m="given", i="sample:0", l="stem", map="grey", order="index")
    assert (colours.input_value(), order.input_value()) == ("grey", "index")
    page.explore(m="given", i="sample:0", l="stem", map="magma", order="energy")
    assert (colours.input_value(), order.input_value()) == ("magma", "energy")


@pytest.mark.long
def test_any_kernel_of_a_layer_is_replaced(page: StudioPage) -> None:
    page.explore(m="lenet5", i="sample:8", l="c5", c=119)  # it reads 16 channels
    page.page.locator("summary", has_text="Change").click()
    page.page.get_by_role("button", name="Replace a kernel").click()
    weights = page.page.locator(".kernel-edit input")
    weights.first.wait_for()
    first = weights.first.input_value()
    channel = page.page.get_by_label("reads channel")
    assert channel.get_attribute("max") == "15"
    channel.fill("15")
    channel.press("Enter")
    page.page.wait_for_function("before => document.querySelector('.kernel-edit input').value !== before", arg=first)
    weights.first.fill("0.5")
    page.page.get_by_role("button", name="Use").click()
    page.rest()
    assert page.state["x"].startswith("kernel:c5:119:15:0.5,")
    assert weights.count() == 25
    channel.fill("99")
    channel.press("Enter")
    page.faults.expect("Failed to load resource")
    page.says("in 0 to 15: 99 is none of them")


@pytest.mark.long
@pytest.mark.parametrize("model", CATALOGUE)
def test_networks_of_the_catalogue(open_page, studio: StudioCommand, model: str) -> None:
    page = open_page(studio)
    page.page.context.set_default_timeout(60_000)
    record = convscope.inspect(model)
    block_to_pixel(page, model, record, every={"lenet5": 1, "resnet18": 6, "googlenet": 20, "unet": 8}.get(model, 50))


@pytest.mark.long
def test_an_onnx_file(start, open_page, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs the extra onnx")
    page = open_page(start(onnx_file(tmp_path)))
    block_to_pixel(page, "given", convscope.inspect(str(tmp_path / "stranger.onnx")), every=3)


@pytest.mark.long
@pytest.mark.parametrize(
    ("factory", "shape"),
    [
        ("Flat", (3, 12, 12)),
        ("Wide", (2, 10, 40)),
        ("Deep", (3, 16, 16)),
        ("Thick", (3, 8, 8)),
        ("OnePixel", (1, 20, 20)),
        ("Pair", (3, 16, 16)),
    ],
)
def test_networks_of_unusual_shapes(start, open_page, tmp_path: Path, factory: str, shape: tuple[int, ...]) -> None:
    studio = start(odd_file(tmp_path, factory), "--input", "x".join(map(str, shape)))
    page = open_page(studio, "#/explore?v=1&m=given&i=sample:0")
    screenshot(page.page, f"odd-{factory}")
    assert page.page.locator("[role=treeitem]").count()
    maps = maps_of(page, "given")
    record = convscope.inspect(str(tmp_path / f"odd.py:{factory}"), input_shape=shape)
    for value, size in maps[:3]:
        page.explore(m="given", i="sample:0", l=value)
        check_layer(page, record, value, size)
    if factory == "Deep":  # of 1,000 boxes those in sight are in the document, and every one can be reached
        page.explore(m="given", i="sample:0", l="body.1")
        boxes = page.page.locator(".drawing .node")
        boxes.first.wait_for()
        assert 0 < boxes.count() < 500
        page.page.locator(".drawing svg").focus()
        page.press("End", "Enter")
        page.rest()
        assert page.state["l"] == "last"
        assert 0 < boxes.count() < 500
        assert page.page.locator(".drawing .node[aria-selected=true]").is_visible()
    if not maps:  # vectors alone: a bar for each number, and a click works one out
        page.select("1")
        page.page.locator(".vector button").first.click()
        page.rest()
        assert page.cell


@pytest.mark.long
def test_layers_are_opened_one_after_the_other_in_haste(open_page, studio: StudioCommand) -> None:
    page = open_page(studio, "#/explore?v=1&m=resnet18&i=sample:0")
    values = [value for value, _ in maps_of(page, "resnet18")]
    for value in (values * 2)[:59]:
        link = link_of("explore", {"m": "resnet18", "i": "sample:0", "l": value})
        page.page.evaluate("link => { location.hash = link; }", link)
        page.page.wait_for_timeout(15)
    last = (values * 2)[59]
    page.explore(m="resnet18", i="sample:0", l=last)
    assert page.state["l"] == last
    assert last in page.page.locator(".value-title").inner_text()
    shape = dict(maps_of(page, "resnet18"))[last]
    canvas = page.page.locator(".map-tile canvas").first
    assert canvas.evaluate("c => [c.height, c.width]") == list(shape[1:]), "the maps of another layer are shown"

"""Drawings as pixels: what a browser would paint, without one."""

import numpy as np
import pytest

from convscope.report.charts import Curve, bar_chart, confusion_matrix, line_chart
from convscope.report.image_grid import Tile, image_grid
from convscope.report.raster import drawing_pixels, drawing_png
from convscope.report.svg import Drawing, element, group, line, paint, rectangle, text


def drawn(*children, scale=1.0):
    return drawing_pixels(Drawing.of(40, 20, children, title="t", description="d"), scale=scale)


def test_rectangles_lines_and_groups_are_where_they_are_said_to_be():
    pixels = drawn(group(rectangle(0, 0, 10, 5, fill="blue"), x=20, y=10))
    blue = (pixels == (0x0A, 0x6A, 0xB0)).all(axis=2)
    assert blue[10:15, 20:30].all() and blue.sum() == 50
    pixels = drawn(line(0, 10, 40, 10, colour="ink", width=2))
    assert (pixels[9:11, 2:-2] == (0x1D, 0x23, 0x30)).all() and (pixels[:8] == 255).all() and (pixels[12:] == 255).all()


def test_a_rectangle_that_is_seen_through_covers_its_own_pixels_alone():
    for x, y, seen in ((4, 4, (slice(4, 9), slice(4, 14))), (-5, -2, (slice(0, 3), slice(0, 5)))):
        pixels = drawn(rectangle(x, y, 10, 5, fill="blue", opacity=0.5)).astype(int)
        expected = np.full_like(pixels, 255)
        expected[seen] = (0x84, 0xB4, 0xD7)
        assert np.abs(pixels - expected).max() <= 1


def test_pictures_keep_their_cells_sharp():
    values = np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8)
    pixels = drawing_pixels(image_grid([Tile(values)], title="", tile_width=100), scale=1)
    red, green = ((pixels == colour).all(axis=2).sum() for colour in ((255, 0, 0), (0, 255, 0)))
    assert red > 2000 and green > 2000


def test_paths_circles_and_texts_leave_ink():
    for child in (
        element("path", {"d": "M5 5q5 10 10 0h5v3l-2 -2z"} | paint("ink")),
        element("circle", {"cx": 20, "cy": 10, "r": 5} | paint("orange")),
        element("polyline", {"points": "0,0 20,15 40,0", "stroke-dasharray": "6 3"} | paint("none", "green", width=1)),
        text(2, 12, "words", size=10),
        text(20, 10, "turned", size=8, rotate=-90, anchor="middle"),
        text(2, 12, "halo", size=10, halo=True, bold=True),
    ):
        assert (drawn(child) != 255).any()


@pytest.mark.parametrize("rotate", [0, -48])
@pytest.mark.parametrize("anchor", ["start", "middle", "end"])
def test_a_name_of_several_lines_is_one_line_of_text(rotate, anchor):
    child = text(20, 10, "new\nline", size=8, rotate=rotate, anchor=anchor)
    assert child.children == ("new\\nline",) and (drawn(child) != 255).any()


@pytest.mark.parametrize("drawing", [
    line_chart([Curve("a", [0, 1, 2], [0.1, None, 0.9])], title="curve", x_label="x", y_label="y"),
    bar_chart([("a", 3.0), ("b", 1.0)], title="bars"),
    confusion_matrix(np.array([[3, 1], [0, 4]]), ["cat", "dog"], title="matrix"),
    image_grid([Tile(np.arange(6.0), "bars"), Tile(np.eye(3), "map")], title="grid"),
])  # fmt: skip
def test_every_chart_becomes_a_file(drawing):
    assert drawing_png(drawing, scale=1)[:4] == b"\x89PNG"
    assert drawing_pixels(drawing, scale=1).shape == (-(-drawing.height // 1), -(-drawing.width // 1), 3)


def test_a_large_drawing_is_made_of_fewer_pixels():
    assert drawing_pixels(Drawing(9_000, 100, "wide", "d", ()), scale=8).size < 31_000_000

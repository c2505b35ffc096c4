"""Grids of small pictures: every tile drawn, one scale where they are compared, all of it also in words."""

import base64
import io
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from convscope.report.charts import PlotBox
from convscope.report.colour_maps import ColourScale
from convscope.report.image_grid import Tile, grid_figure, grid_text, image_grid
from convscope.report.png import png_bytes

MAPS = [np.arange(12.0).reshape(3, 4) * (1 + i) for i in range(5)]


def words(drawing):
    root = ElementTree.fromstring(drawing.document())
    return [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]


def images(drawing):
    return list(ElementTree.fromstring(drawing.document()).iter("{http://www.w3.org/2000/svg}image"))


def test_one_scale_has_one_colour_bar_with_its_ends_in_numbers():
    drawing = image_grid([Tile(m, f"channel {i}") for i, m in enumerate(MAPS)], title="conv1 <of> net",
                         scale=ColourScale.of(*MAPS), unit="activation")  # fmt: skip
    assert words(drawing) == ["conv1 <of> net", "0", "55", "activation", *(f"channel {i}" for i in range(5))]
    assert len(images(drawing)) == 6
    tiles = images(drawing)[1:]
    assert len({(tile.get("width"), tile.get("height")) for tile in tiles}) == 1


def test_a_long_title_is_broken_into_lines_and_a_long_word_is_not_cut():
    tiles = [Tile(m, f"channel {i}") for i, m in enumerate(MAPS)]
    plain = image_grid(tiles, title="maps", subtitle="by energy")
    long = image_grid(tiles, title="maps " * 40, subtitle="ranked by the fall of the score " * 20)
    assert long.width == plain.width and long.height > plain.height
    assert long.document().count("ranked by") > 20
    assert image_grid(tiles, title="m" * 200).width > plain.width


def test_maps_with_scales_of_their_own_have_their_ranges_below_their_titles():
    drawing = image_grid([Tile(m, f"channel {i}", scale=ColourScale.of(m)) for i, m in enumerate(MAPS)], title="own")
    assert "0 to 11" in words(drawing) and "0 to 55" in words(drawing)
    assert len(images(drawing)) == 5


def test_constant_maps_and_numbers_that_are_not_finite_are_said():
    tiles = [Tile(np.full((2, 2), 0.3), "flat"), Tile(np.array([[0.0, np.nan]]), "gap"), Tile(MAPS[0], "plain")]
    drawing = image_grid(tiles, title="odd", scale=ColourScale.of(*(t.values for t in tiles)))
    assert {"all 0.3", "1 of 2 not finite"} <= set(words(drawing)) and "0 to 11" not in words(drawing)


def test_groups_begin_a_row_and_columns_limit_one():
    tiles = [Tile(MAPS[0], f"c{i}", group="a" if i < 3 else "b") for i in range(4)]
    one, two = (image_grid(tiles, title="", columns=columns) for columns in (6, 2))
    assert words(one).count("a") == words(one).count("b") == 1
    assert two.height > one.height and two.width <= one.width


def test_bars_pictures_and_boxes_are_drawn():
    tiles = [Tile(np.array([1.0, -2.0, 0.0, np.nan]), "1×1"), Tile(np.zeros((2, 3, 1), np.uint8), "grey"),
             Tile(MAPS[0], "boxed", boxes=(PlotBox(0, 1, 2, 3, "read"),))]  # fmt: skip
    drawing = image_grid(tiles, title="kinds", scale=ColourScale("diverging", -2, 2))
    assert drawing.document().count("<path") == 2 and "read" in drawing.document()


@pytest.mark.parametrize("values", [np.zeros((1, 1)), np.full((5, 1), np.nan), np.zeros((1, 900)), np.zeros(1)])
def test_every_shape_of_map_is_drawn(values):
    ElementTree.fromstring(image_grid([Tile(values, "x")], title="t").document())


def test_in_words_the_largest_cells_are_named_and_long_grids_cut():
    assert grid_text([Tile(MAPS[0], "channel 0")]).startswith("channel 0: 0 to 11; largest 11 at (2, 3), 10 at (2, 2)")
    found = grid_text([Tile(MAPS[0], f"channel {i}") for i in range(30)], subtitle="by energy").splitlines()
    assert found[0] == "by energy" and found[-1] == "and 18 more" and len(found) == 14
    cells = "11 at (2, 3), 10 at (2, 2), 9 at (2, 1), 8 at (2, 0), 7 at (1, 3)"
    assert grid_figure([Tile(MAPS[0])], title="t").text == f"0 to 11; largest {cells}"


def test_no_tiles_make_an_empty_drawing():
    assert image_grid([], title="none").description == "no tiles"


def test_tiles_are_written_with_a_palette_and_keep_their_pixels():
    pixels = ColourScale("diverging", -1, 1).colours(np.random.default_rng(0).normal(size=(90, 90)))
    small, large = png_bytes(pixels, palette=True), png_bytes(pixels)
    assert len(small) < len(large)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(small)).convert("RGB")), pixels)
    many = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    assert png_bytes(many, palette=True) == png_bytes(many)


def test_bars_alone_have_the_height_of_their_frame_in_words_and_no_colour_bar():
    drawing = image_grid([Tile(np.array([1.0, -2.0]), "x")], title="t", scale=ColourScale("diverging", -2, 2), unit="w")
    assert words(drawing)[1] == "height of the frame: -2 to 2, w; orange is above 0, blue below" and not images(drawing)


def test_photographs_are_held_small_and_small_pictures_pixel_by_pixel():
    large = np.random.default_rng(0).integers(0, 256, (400, 300, 3), dtype=np.uint8)
    held = [images(image_grid([Tile(values, photograph=True)], title="t", tile_width=84))[0].get("href")
            for values in (large, large[:40, :40])]  # fmt: skip
    assert held[0].startswith("data:image/jpeg") and held[1].startswith("data:image/png")
    with Image.open(io.BytesIO(base64.b64decode(held[0].partition(",")[2]))) as picture:
        assert max(picture.size) <= 168


def test_long_pictures_are_one_below_the_other_and_as_wide_as_a_row():
    lines = [Tile(np.random.default_rng(n).random((20, 1000)), f"channel {n}") for n in range(4)]
    assert [one.get("width") for one in images(image_grid(lines, title="lines"))] == [str(4 * 112 + 3 * 12)] * 4
    mixed = image_grid([*lines, Tile(np.ones((3, 3)), "filter")], title="mixed")
    assert {one.get("width") for one in images(mixed)} == {"112"}

"""The inside of one cell's field: holes, counts and projective fields, by hand."""

import numpy as np
import pytest

from convscope.errors import GeometryError
from convscope.geometry.relation import Concat, Mix, Taps
from convscope.geometry.taps import window_taps
from convscope.geometry.window import Window
from convscope.graph.reach_walk import walk_back, walk_on
from graphs import Builder


def test_dilated_taps_leave_holes() -> None:
    net = Builder(1, 3, 32)
    out = net.conv(0, 3, dilation=4, padding=4)
    mask = walk_back(net.graph(), out, (0, 0, 16)).mask(0)
    assert np.flatnonzero(mask).tolist() == [12, 16, 20]


def test_1x7_then_7x1_is_a_plus_in_a_7x7_hull() -> None:
    # Summed, a row of 7 and a column of 7 are a plus of 13; one after the other they are the full square.
    net = Builder(1, 1, 15, 15)
    seven = window_taps(Window.of(7, padding=3), 15)
    row, column = net.add((0, (Mix(1, 1), Taps(3, seven)))), net.add((0, (Mix(1, 1), Taps(2, seven))))
    both = net.add((row, ()), (column, ()))
    plus = walk_back(net.graph(), both, (0, 0, 7, 7)).mask(0)
    assert int(plus.sum()) == 13 and plus[7, 4:11].all() and plus[4:11, 7].all()
    stacked = net.add((row, (Mix(1, 1), Taps(2, seven))))
    square = walk_back(net.graph(), stacked, (0, 0, 7, 7)).mask(0)
    assert int(square.sum()) == 49


def test_corners_are_visited_less_than_the_middle() -> None:
    net = Builder(1, 1, 6, 6)
    three = window_taps(Window.of(3), 6)
    out = net.add((0, (Mix(1, 1), Taps(2, three), Taps(3, three))))
    uses = walk_back(net.graph(), out, measure="paths").map(0)
    assert uses[0, 0] == 1 and uses[0, 2] == 3 and uses[2, 2] == 9


def test_paths_of_a_stack_are_a_bell() -> None:
    net = Builder(1, 1, 9)
    out = net.conv(net.conv(0, 3, padding=1), 3, padding=1)
    assert walk_back(net.graph(), out, (0, 0, 4), measure="paths").map(0).tolist() == [0, 0, 1, 2, 3, 2, 1, 0, 0]
    share = walk_back(net.graph(), out, (0, 0, 4), measure="share").map(0)
    assert share.sum() == pytest.approx(1.0) and share[4] == pytest.approx(3 / 9)


def test_what_one_pixel_changes_is_the_transpose() -> None:
    net = Builder(1, 2, 16)
    out = net.conv(net.conv(0, 5, padding=2), 3, stride=2, padding=1)
    graph = net.graph()
    back = np.array([walk_back(graph, out, (0, 0, u)).mask(0) for u in range(8)])
    on = np.array([walk_on(graph, 0, (0, 0, i)).mask(out) for i in range(16)])
    assert (back == on.T).all() and back.any()


def test_channels_stay_apart() -> None:
    net = Builder(1, 4, 16)
    narrow, wide = net.conv(0, 1), net.conv(0, 5, padding=2)
    joined = net.add((narrow, (Concat(1, 0, 4, 8),)), (wide, (Concat(1, 4, 4, 8),)))
    grouped = net.add((joined, (Mix(1, 4, groups=2),)))
    sizes = [int(walk_back(net.graph(), grouped, (0, c, 8)).mask(0).sum()) for c in range(4)]
    assert sizes == [1, 1, 5, 5]


def test_unused_pixels_of_a_whole_network() -> None:
    net = Builder(1, 1, 8)
    out = net.conv(net.conv(0, 3, stride=2), 3)
    assert np.flatnonzero(~walk_back(net.graph(), out).mask(0)).tolist() == [7]


def test_a_cell_outside_is_refused() -> None:
    net = Builder(1, 1, 8)
    with pytest.raises(GeometryError, match=r"outside a map of shape \(1, 1, 8\)"):
        walk_back(net.graph(), 0, (0, 0, 8))

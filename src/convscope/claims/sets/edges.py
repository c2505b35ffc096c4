"""Edge detection, padding, strides, and convolution in signal processing."""

from __future__ import annotations

from functools import partial

import numpy as np

from convscope.claims import arrays
from convscope.claims.arithmetic import growth_with_the_side, size
from convscope.claims.claim import Claim
from convscope.geometry.cost import Cost, linear_cost
from convscope.geometry.layer import work_out
from convscope.geometry.window import Window, same_padding
from convscope.reference.convolution import convolve
from convscope.reference.edges import BRIGHT_LEFT, HORIZONTAL, NUMBERS, VERTICAL, edge_map

_claim = partial(Claim, "edges")
_SIDES = (32, 64, 128, 256)


def _strided(stride: int) -> Cost:
    """Return the cost of a 3x3 convolution of 64 channels on 56x56."""
    cost = work_out((56, 56), 3, stride=stride, padding=1, in_channels=64, out_channels=64).cost
    assert cost is not None
    return cost


CLAIMS = (
    _claim(
        "fc-growth",
        "how the weights of a fully connected layer grow with the side of the image",
        "exponential",
        lambda: growth_with_the_side(_SIDES, [linear_cost(3 * n * n, 100, bias=False).weights for n in _SIDES]),
        "linear_cost",
        "wrong",
        "a unit has a weight for each value, and values grow with the square of the side: 4 times at twice the side",
    ),
    _claim(
        "fc-growth-32-to-224",
        "times as many weights on images of 224 as of 32 pixels, 7 times the side",
        None,
        lambda: linear_cost(3 * 224 * 224, 1, bias=False).weights // linear_cost(3 * 32 * 32, 1, bias=False).weights,
        "linear_cost",
        "answered",
    ),
    _claim(
        "first-window",
        "first window of the 6x6 numbers under the vertical-edge kernel",
        -5,
        lambda: arrays.whole((NUMBERS[:3, :3] * VERTICAL).sum()),
        "NUMBERS, VERTICAL",
        see="convscope explain --demo edges",
    ),
    _claim(
        "first-window-column",
        "middle column of the 6x6 numbers' first window, as first written out",
        [0, 3, 7],
        lambda: [arrays.whole(n) for n in NUMBERS[:3, 1]],
        "NUMBERS",
        "transcription noise",
        "the image has 0, 5, 7 there, as written out the second time; the kernel's zeros hide it in the sum",
    ),
    _claim(
        "numbers-map",
        "the whole 4x4 map of the 6x6 numbers",
        [[-5, -4, 0, 8], [-10, -2, 2, 3], [0, -2, -4, -7], [-3, -2, -3, -16]],
        lambda: arrays.grid(edge_map(NUMBERS, VERTICAL)),
        "convolve",
        see="convscope explain --demo edges",
    ),
    _claim(
        "edge-map-row",
        "each row of the map of the image that is bright on the left",
        [0, 30, 30, 0],
        lambda: arrays.grid(edge_map(BRIGHT_LEFT, VERTICAL)[2]),
        "convolve",
        see="convscope explain --demo edges",
    ),
    _claim(
        "horizontal-edges",
        "strongest response of the rotated kernel to the rotated image: horizontal edges are found in the same way",
        None,
        lambda: arrays.whole(edge_map(np.rot90(BRIGHT_LEFT, -1), HORIZONTAL).max()),
        "convolve",
        "answered",
    ),
    _claim(
        "size-6-3",
        "3x3 on 6x6: output size",
        4,
        lambda: size(6, 3),
        "Window.output_size",
        see="convscope size 6 --kernel 3",
    ),
    _claim(
        "padded-6",
        "6x6 with one ring of padding",
        8,
        lambda: Window.of(3, padding=1).padded_size(6),
        "Window.padded_size",
    ),
    _claim(
        "size-6-3-padded",
        "3x3 on 6x6 with padding 1: output size",
        6,
        lambda: size(6, 3, 1, 1),
        "Window.output_size",
        see="convscope size 6 --kernel 3 --padding 1",
    ),
    _claim(
        "same-padding",
        "padding (f − 1) / 2 keeps the size, for f = 3, 5, 7",
        [1, 2, 3],
        lambda: [same_padding(f)[0] for f in (3, 5, 7)],
        "same_padding",
    ),
    _claim(
        "edge-pixels",
        "windows of 3x3 on 6x6 that read a corner and a middle pixel, without padding: a corner counts less",
        None,
        lambda: [arrays.windows_of(6, 3, 0, row) for row in (0, 2)],
        "convolve_backward",
        "answered",
    ),
    _claim(
        "size-7-3-2",
        "3x3 with stride 2 on 7x7: output size",
        3,
        lambda: size(7, 3, 2),
        "Window.output_size",
        see="convscope size 7 --kernel 3 --stride 2",
    ),
    _claim(
        "strided-values",
        "values of the worked example with stride 2",
        [91, 100],
        None,
        "",
        "not decidable",
        "the image that they were computed from is missing in the notes",
    ),
    _claim(
        "stride-macs",
        "times fewer MACs of a 3x3 convolution of 64 channels on 56x56 at stride 2 than at stride 1",
        None,
        lambda: _strided(1).macs // _strided(2).macs,
        "work_out",
        "answered",
    ),
    _claim(
        "stride-parameters",
        "parameters of a 3x3 convolution of 64 channels on 56x56 at stride 1 and 2",
        "fewer at stride 2",
        lambda: [_strided(stride).parameters for stride in (1, 2)],
        "work_out",
        "wrong",
        "a stride changes how often the weights are used, not how many there are; only a fully connected layer behind "
        "the smaller map has fewer",
        see="convscope size 56 --kernel 3 --stride 2 --padding 1 --in-channels 64 --out-channels 64",
    ),
    _claim(
        "two-filters-on-rgb",
        "two 3x3x3 filters on 6x6x3: output",
        (4, 4, 2),
        lambda: tuple(convolve(np.zeros((1, 3, 6, 6)), np.zeros((2, 3, 3, 3)))[0].transpose(1, 2, 0).shape),
        "convolve",
        see="convscope size 6 --kernel 3 --in-channels 3 --out-channels 2",
    ),
    _claim(
        "convolution-commutes",
        "largest difference between f * g and g * f with the flip",
        0,
        arrays.difference_of_orders,
        "true_convolve",
        stated_as="none",
    ),
    _claim(
        "slaps",
        "slaps, one every 5 seconds, that are felt at second 50",
        10,
        lambda: arrays.slaps_felt(50),
        "true_convolve",
    ),
    _claim(
        "causal-kernel",
        "first output that an impulse at second 10 changes, under a flipped kernel of past and present",
        10,
        lambda: arrays.first_output_changed(10, 0),
        "true_convolve",
    ),
    _claim(
        "flip-and-causality",
        "first output that an impulse at second 10 changes, under a flipped kernel that reaches one second ahead",
        10,
        lambda: arrays.first_output_changed(10, 1),
        "true_convolve",
        "wrong",
        "by the flip each input is multiplied by the response for the time since it; an output comes before its input "
        "unless the response is 0 before time 0",
        stated_as="10: the flip ensures causality",
    ),
    _claim(
        "rotation",
        "strongest responses of the vertical kernel to an edge and to the edge rotated by 90°",
        [30, 30],
        arrays.answers_to_a_turned_edge,
        "convolve",
        "wrong",
        "weight sharing gives equivariance to shifts, not to rotations: the rotated edge needs another kernel",
        stated_as="the same: invariant to shifts and rotations",
    ),
)

"""Output sizes, parameters, and what sharing weights brings."""

from __future__ import annotations

from functools import partial

from convscope.claims import arrays
from convscope.claims.arithmetic import conv_parameters, conv_weights, size
from convscope.claims.claim import Claim
from convscope.geometry.convolution import output_sizes, windows
from convscope.geometry.cost import convolution_cost, linear_cost
from convscope.geometry.window import Window

_claim = partial(Claim, "sizes")

# (input, kernel, stride, padding, output): the notes' table.
_TABLE = ((32, 5, 1, 2, 32), (224, 3, 1, 1, 224), (5, 3, 1, 0, 3), (5, 3, 2, 0, 2), (7, 3, 1, 0, 5), (7, 3, 2, 0, 3))

CLAIMS = (
    *(
        _claim(
            f"size-{w}-{f}-{s}-{p}",
            f"input {w}, kernel {f}, stride {s}, padding {p}: output size",
            stated,
            partial(size, w, f, s, p),
            "Window.output_size",
            see=f"convscope size {w} --kernel {f} --stride {s} --padding {p}",
        )
        for w, f, s, p, stated in _TABLE
    ),
    _claim(
        "fc-unit-224",
        "weights of one fully connected unit on 224x224x3",
        150_528,
        lambda: linear_cost(3 * 224 * 224, 1, bias=False).weights,
        "linear_cost",
        see="convscope size 224 --kernel 224 --in-channels 3 --out-channels 1 --no-bias",
    ),
    _claim(
        "fc-100-units-224",
        "parameters of 100 fully connected units on 224x224x3",
        15_000_000,
        lambda: linear_cost(3 * 224 * 224, 100).parameters,
        "linear_cost",
        compare="at least",
        stated_as="more than 15 million",
        see="convscope size 224 --kernel 224 --in-channels 3 --out-channels 100",
    ),
    _claim(
        "fc-100-units-224-exact",
        "parameters of 100 fully connected units on 224x224x3, in the table",
        15_052_900,
        lambda: linear_cost(3 * 224 * 224, 100).parameters,
        "linear_cost",
        see="convscope size 224 --kernel 224 --in-channels 3 --out-channels 100",
    ),
    _claim(
        "fc-100-units-32",
        "parameters of 100 fully connected units on 32x32x3",
        307_300,
        lambda: linear_cost(3 * 32 * 32, 100).parameters,
        "linear_cost",
        see="convscope size 32 --kernel 32 --in-channels 3 --out-channels 100",
    ),
    _claim(
        "conv-100-filters",
        "parameters of 100 filters of 3x3 on RGB",
        2_800,
        lambda: conv_parameters(3, 100, 3),
        "convolution_cost",
        see="convscope size 32 --kernel 3 --in-channels 3 --out-channels 100",
    ),
    _claim(
        "alexnet-first-layer",
        "parameters of AlexNet's 96 filters of 11x11x3",
        34_944,
        lambda: conv_parameters(3, 96, 11),
        "convolution_cost",
        see="convscope size 227 --kernel 11 --stride 4 --in-channels 3 --out-channels 96",
    ),
    _claim(
        "filter-on-rgb",
        "weights of one 3x3 filter on RGB, not 9",
        27,
        lambda: conv_weights(3, 1, 3),
        "convolution_cost",
        see="convscope size 32 --kernel 3 --in-channels 3 --out-channels 1 --no-bias",
    ),
    _claim(
        "parameters-without-size",
        "different parameter counts of one convolution on images of 32, 64 and 224",
        1,
        lambda: len(
            {convolution_cost(3, 8, (3, 3), output_sizes((n, n), windows(2, 3))).parameters for n in (32, 64, 224)}
        ),
        "convolution_cost",
    ),
    _claim(
        "whole-number",
        "outputs where the formula gives no whole number: 64, kernel 3, stride 2",
        "not allowed",
        lambda: f"{size(64, 3, 2)}, pixel {Window(kernel_size=3, stride=2).never_read(64)[0]} never read",
        "Window.never_read",
        "convention",
        "every framework, and the notes' own exercise (c), round (64 − 3) / 2 + 1 = 31.5 down; what the rule prevents "
        "is that the last row and column are never read, and convscope refuses with --strict only",
        see="convscope size 64 --kernel 3 --stride 2",
    ),
    _claim(
        "equivariance-stride-1",
        "cells by which the map moves where the image moves by 1 pixel, at stride 1",
        1,
        lambda: arrays.cells_moved(arrays.convolved(1), 1),
        "convolve",
        stated_as="the same amount",
    ),
    _claim(
        "equivariance-stride-2",
        "cells by which the map moves where the image moves by 1 pixel, at stride 2",
        1,
        lambda: arrays.cells_moved(arrays.convolved(2), 1),
        "convolve",
        "wrong",
        "a pixel is half a cell at stride 2: the map changes instead of moving; equivariance is exact for shifts by "
        "multiples of the stride, away from the borders",
        stated_as="the same amount",
    ),
)

"""Arithmetic for the proofs of the notes' claims, from `convscope.geometry` alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log2

from convscope.geometry.convolution import output_sizes, windows
from convscope.geometry.cost import convolution_cost, linear_cost
from convscope.geometry.window import Window


def size(input_size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """Return the output size of one axis.

    >>> size(224, 7, 2, 3)
    112
    """
    return Window.of(kernel, stride=stride, padding=padding).output_size(input_size)


def square(side: int, kernel: int, stride: int = 1, padding: int = 0) -> tuple[int, ...]:
    """Return the output sizes of a square image, in pixels."""
    return output_sizes((side, side), windows(2, kernel, stride=stride, padding=padding))


def halved(side: int, times: int) -> list[object]:
    """Return the sizes after each of several 2x2 poolings.

    >>> halved(512, 4)
    [256, 128, 64, 32]
    """
    sizes: list[object] = []
    for _ in range(times):
        side = size(side, 2, 2)
        sizes.append(side)
    return sizes


def conv_parameters(in_channels: int, out_channels: int, kernel: int) -> int:
    """Return the parameters of a 2-D convolution with bias."""
    return convolution_cost(in_channels, out_channels, (kernel, kernel), (1, 1)).parameters


def conv_weights(in_channels: int, out_channels: int, kernel: int) -> int:
    """Return the weights of a 2-D convolution."""
    return convolution_cost(in_channels, out_channels, (kernel, kernel), (1, 1), bias=False).weights


def conv_macs(in_channels: int, out_channels: int, kernel: int, side: int) -> int:
    """Return the MACs of a 2-D convolution with "same" padding on a square image."""
    places = square(side, kernel, 1, kernel // 2)
    return convolution_cost(in_channels, out_channels, (kernel, kernel), places).macs


def mlp_weights(*widths: int) -> int:
    """Return the weights of fully connected layers in a row, without biases.

    >>> mlp_weights(3072, 1024, 512, 10)
    3675136
    """
    return sum(linear_cost(a, b, bias=False).weights for a, b in pairwise(widths))


def places_of_a_crop(crop: int, side: int) -> int:
    """Return the number of positions of a square crop in a square image.

    >>> places_of_a_crop(224, 256)
    1089
    """
    return int(size(side, crop) ** 2)


def growth_with_the_side(sides: Sequence[int], counts: Sequence[int]) -> str:
    """Return the growth of counts as each side is doubled: the power of the side, in words.

    >>> growth_with_the_side([2, 4, 8], [4, 16, 64])
    'quadratic'
    """
    assert all(b == 2 * a for a, b in pairwise(sides))
    powers = {round(log2(b / a), 2) for a, b in pairwise(counts)}
    if len(powers) > 1:
        return "no power of the side"
    return {1.0: "linear", 2.0: "quadratic", 3.0: "cubic"}[powers.pop()]


def steps_of(values: Sequence[int]) -> str:
    """Return whether values in a row grow by the same amount or by the same factor.

    >>> steps_of([3, 5, 7]), steps_of([3, 9, 27])
    ('by addition', 'by multiplication')
    """
    pairs = list(pairwise(values))
    if len({b - a for a, b in pairs}) == 1:
        return "by addition"
    return "by multiplication" if len({b / a for a, b in pairs}) == 1 else "by neither"

"""Chapter 4: volumes and filters."""

from __future__ import annotations

from collections.abc import Mapping

from convscope.course.chapter import Chapter
from convscope.geometry.cost import convolution_cost


def _numbers() -> Mapping[str, object]:
    first = convolution_cost(3, 8, (5, 5), (1, 1))
    placed = convolution_cost(3, 10, (5, 5), (32, 32))
    grouped = convolution_cost(64, 128, (3, 3), (56, 56), groups=2)
    whole = convolution_cost(64, 128, (3, 3), (56, 56))
    depthwise = convolution_cost(64, 64, (3, 3), (56, 56), groups=64)
    point = convolution_cost(64, 128, (1, 1), (56, 56))
    return {
        "depth": 5 * 5 * 3,
        "first": first.parameters,
        "first_biases": first.biases,
        "placed": placed.parameters,
        "placed_macs": placed.macs,
        "whole": whole.parameters,
        "grouped": grouped.parameters,
        "depthwise": depthwise.parameters,
        "point": point.parameters,
        "separable": depthwise.parameters + point.parameters,
        "one_by_one": convolution_cost(64, 16, (1, 1), (1, 1)).parameters,
    }


CHAPTER = Chapter(
    number=4,
    widget="volumes",
    exercises=("4a", "4b", "4c", "quiz-one-by-one"),
    numbers=_numbers,
    own="costs",
    slips=(
        "slip-filter-depth",
        "slip-conv-156",
        "slip-weights-f-times-d",
        "slip-weights-ffk-k",
        "slip-n-channels",
        "slip-depth-slice",
        "slip-tensor-of-four-sizes",
        "slip-bias-a-number",
    ),
)

"""Chapter 4: volumes and filters."""

from __future__ import annotations

from collections.abc import Mapping

from convscope.course.chapter import Chapter
from convscope.geometry.cost import convolution_cost

POINT_FILTERS = 16


def _numbers() -> Mapping[str, object]:
    small, two = convolution_cost(3, 4, (3, 3), (3, 3)), convolution_cost(2, 2, (3, 3), (3, 3))
    whole_small, groups_small = (convolution_cost(4, 4, (3, 3), (3, 3), groups=groups) for groups in (1, 2))
    depthwise_small = convolution_cost(3, 3, (3, 3), (3, 3), groups=3)
    first = convolution_cost(3, 8, (5, 5), (1, 1))
    placed = convolution_cost(3, 10, (5, 5), (32, 32))
    grouped = convolution_cost(64, 128, (3, 3), (56, 56), groups=2)
    whole = convolution_cost(64, 128, (3, 3), (56, 56))
    depthwise = convolution_cost(64, 64, (3, 3), (56, 56), groups=64)
    point = convolution_cost(64, 128, (1, 1), (56, 56))
    return {
        "depth": convolution_cost(3, 1, (3, 3), (1, 1)).weights,
        "small": small.parameters,
        "first": first.parameters,
        "two_weights": two.weights,
        "two_macs": two.macs,
        "placed": placed.parameters,
        "placed_macs": placed.macs,
        "whole": whole.parameters,
        "grouped": grouped.parameters,
        "whole_small": whole_small.parameters,
        "groups_small": groups_small.parameters,
        "depthwise_small": depthwise_small.parameters,
        "depthwise_macs": depthwise_small.macs,
        "separable": depthwise.parameters + point.parameters,
        "point_small": convolution_cost(4, 2, (1, 1), (5, 5)).parameters,
        "point_filters": POINT_FILTERS,
        "one_by_one": convolution_cost(64, POINT_FILTERS, (1, 1), (1, 1)).parameters,
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

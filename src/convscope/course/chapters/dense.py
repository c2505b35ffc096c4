"""Chapter 1: why not fully connected."""

from __future__ import annotations

from collections.abc import Mapping

from convscope.course.chapter import Chapter
from convscope.course.records.shifted import PICTURE, PLACE, filter_value, picture_at, shuffled, unit_value
from convscope.geometry.cost import convolution_cost, linear_cost

SIDE, CHANNELS, UNITS, FILTERS, KERNEL = 224, 3, 100, 100, 3
BYTES = 4  # of a weight in 32-bit floating point


def _numbers() -> Mapping[str, object]:
    values = SIDE * SIDE * CHANNELS
    dense = linear_cost(values, UNITS)
    filters = convolution_cost(CHANNELS, FILTERS, (KERNEL, KERNEL), (SIDE, SIDE))
    digit = linear_cost(28 * 28, UNITS)
    return {
        "side": SIDE,
        "units": UNITS,
        "values": values,
        "dense": dense.parameters,
        "dense_megabytes": round(dense.parameters * BYTES / 10**6, 1),
        "digit_values": 28 * 28,
        "digit": digit.parameters,
        "filters": FILTERS,
        "filter": KERNEL * KERNEL * CHANNELS,
        "convolution": filters.parameters,
        "times": round(dense.parameters / filters.parameters),
        "macs_dense": dense.macs,
        "macs_filters": filters.macs,
        "growth": linear_cost(4 * values, UNITS, bias=False).weights // dense.weights,
        "reuse": SIDE * SIDE,
        "held": unit_value(PICTURE),
        "held_row": PLACE[0] + 1,
        "held_column": PLACE[1] + 1,
        "shifted_unit": unit_value(picture_at(PLACE[0] + 2, PLACE[1] + 1)),
        "shifted_filter": filter_value(picture_at(PLACE[0] + 2, PLACE[1] + 1)),
        "shuffled_filter": filter_value(shuffled(PICTURE)),
        "task_units": 1000,
    }


CHAPTER = Chapter(
    number=1,
    widget="dense",
    exercises=("1a", "1b", "1c", "quiz-sharing", "quiz-stretching"),
    numbers=_numbers,
    own="kinds",
    slips=("slip-fc-growth",),
)

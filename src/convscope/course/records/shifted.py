"""A pattern that a fully connected unit holds at one place, and a filter at all: what both give where it is moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from convscope.arrays import Array
from convscope.course.record import WidgetRecord
from convscope.reference.convolution import convolve
from convscope.reference.linear import flatten, linear

SIDE = 12
PLACE = (2, 2)  # row and column at which the unit holds the pattern
PATTERN: Array = np.array([
    [1, 1, 1, 1, 1],
    [1, 0, 0, 0, 1],
    [1, 1, 1, 1, 1],
    [1, 0, 0, 0, 0],
    [1, 0, 0, 0, 0],
], dtype=np.float64)  # fmt: skip


def picture_at(row: int, column: int) -> Array:
    """Return a picture `(12, 12)` of zeros with the pattern at a place.

    >>> int(picture_at(0, 7).sum()) == int(PATTERN.sum())
    True
    """
    picture = np.zeros((SIDE, SIDE))
    height, width = PATTERN.shape
    picture[row : row + height, column : column + width] = PATTERN
    return picture


def unit_value(picture: Array) -> float:
    """Return what the fully connected unit gives for a picture.

    >>> unit_value(picture_at(*PLACE)), unit_value(picture_at(7, 7))
    (14.0, 0.0)
    """
    weights = flatten(picture_at(*PLACE)[None])
    return float(linear(flatten(picture[None]), weights)[0, 0])


def filter_value(picture: Array) -> float:
    """Return the largest value of the filter's map.

    >>> filter_value(picture_at(*PLACE)), filter_value(picture_at(7, 7))
    (14.0, 14.0)
    """
    return float(convolve(picture[None, None], PATTERN[None, None]).max())


def _shifted() -> dict[str, Any]:
    return {"side": SIDE, "place": list(PLACE), "pattern": PATTERN.astype(int).tolist()}


RECORDS: Mapping[str, WidgetRecord] = {"shifted": WidgetRecord(make=_shifted, choices={})}

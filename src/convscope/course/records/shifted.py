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
# Of a shuffled picture each pixel, in rows, is the pixel of this index.
ORDER = np.random.default_rng(0).permutation(SIDE * SIDE)


def picture_at(row: int, column: int) -> Array:
    """Return a picture `(12, 12)` of zeros with the pattern at a place.

    >>> int(picture_at(0, 7).sum()) == int(PATTERN.sum())
    True
    """
    picture = np.zeros((SIDE, SIDE))
    height, width = PATTERN.shape
    picture[row : row + height, column : column + width] = PATTERN
    return picture


PICTURE = picture_at(*PLACE)  # the unit's weights as well


def shuffled(picture: Array) -> Array:
    """Return a picture `(12, 12)` with its pixels in another order, always the same one.

    >>> bool(np.array_equal(np.sort(shuffled(PICTURE), axis=None), np.sort(PICTURE, axis=None)))
    True
    """
    moved: Array = picture.reshape(-1)[ORDER].reshape(picture.shape)
    return moved


def unit_value(picture: Array, weights: Array | None = None) -> float:
    """Return what the fully connected unit gives for a picture.

    Args:
        picture: `(12, 12)`.
        weights: `(12, 12)`; the pattern at its place unless given.

    >>> unit_value(picture_at(*PLACE)), unit_value(picture_at(7, 7))
    (14.0, 0.0)
    >>> unit_value(shuffled(PICTURE), shuffled(PICTURE))
    14.0
    """
    held = PICTURE if weights is None else weights
    return float(linear(flatten(picture[None]), flatten(held[None]))[0, 0])


def filter_value(picture: Array) -> float:
    """Return the largest value of the filter's map.

    >>> filter_value(picture_at(*PLACE)), filter_value(picture_at(7, 7))
    (14.0, 14.0)
    """
    return float(convolve(picture[None, None], PATTERN[None, None]).max())


def _shifted() -> dict[str, Any]:
    return {
        "side": SIDE,
        "place": list(PLACE),
        "pattern": PATTERN.astype(int).tolist(),
        "order": ORDER.tolist(),
    }


RECORDS: Mapping[str, WidgetRecord] = {"shifted": WidgetRecord(make=_shifted, choices={})}

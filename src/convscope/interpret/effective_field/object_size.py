"""How large the objects in images are: from a number, boxes or masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from convscope.arrays import Array
from convscope.errors import GeometryError

# A side in pixels; boxes (N, 4) as top, left, bottom, right, the last two not included; or masks (N, H, W).
Objects: TypeAlias = float | Sequence[Sequence[float]] | Array
_BOX = 4


def object_side(objects: Objects) -> float:
    """Return the side of what is to be recognised, in pixels: of several boxes or masks the median of the longer sides.

    Args:
        objects: the side as a number; boxes (N, 4), each (top, left, bottom, right) with the ends not included; or
            masks (N, H, W), not 0 inside the object, of which those without an object are left out.

    Raises:
        GeometryError: no such form, or no object that has a size.

    >>> object_side(40), object_side([(0, 0, 10, 20), (5, 5, 9, 9), (0, 0, 8, 8)])
    (40.0, 8.0)
    >>> mask = np.zeros((1, 9, 9), bool); mask[0, 2:5, 3:5] = True
    >>> object_side(mask)
    3.0
    """
    try:
        array = np.asarray(objects)
    except ValueError:  # rows of several lengths
        raise GeometryError("objects of several shapes: give boxes of 4 numbers each, or masks of one size") from None
    if array.ndim == 0 and np.issubdtype(array.dtype, np.number):
        sides = np.atleast_1d(array)
    elif array.ndim == 2 and array.shape[1] == _BOX:
        sides = (array[:, 2:] - array[:, :2]).max(axis=1)
    elif array.ndim == 3:
        sides = np.array([_longer_side(mask) for mask in array != 0], float)
        sides = sides[sides > 0]
    else:
        raise GeometryError(
            f"objects of shape {array.shape}: give a side in pixels, boxes (N, 4) as top, left, bottom, right, or "
            "masks (N, H, W)"
        )
    if not sides.size or not (np.isfinite(sides).all() and (sides > 0).all()):
        raise GeometryError("objects: each needs a side above 0 pixels")
    return float(np.median(sides))


def _longer_side(mask: Array) -> int:
    """Return the longer side of the box around a mask; 0 of an empty one."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return int(max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1) if rows.size else 0

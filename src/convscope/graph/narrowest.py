"""Which of several fields is narrowest: along the smallest path through a network one branch counts, not their union.

The width of a field is the most pixels that any of its positions spans, as if the source had no ends where that has a
meaning. A field that is exact is narrower than one of a whole axis, and of one that is not known nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from convscope.arrays import Integers
from convscope.geometry.relation import ReachStatus
from convscope.geometry.taps import Positions
from convscope.graph.branches import ReachPart, union
from convscope.graph.layouts import both
from convscope.graph.reach import ArrayLayout, AxisReach

# Of what reads nothing: wider than any source.
_NOTHING = np.int64(1 << 60)


def narrowest(parts: Sequence[ReachPart], shape: tuple[int, ...]) -> AxisReach:
    """Return the narrowest of the branches of a value of this shape; parts of a concatenation are one, side by side.

    Args:
        parts: what each branch brings, and where in a concatenation it lies.
        shape: of the value.
    """
    laid = [part for part in parts if part[1] is not None]
    fields = [*([union(laid, shape)] if laid else []), *(field for field, place in parts if place is None)]
    unknown = [field for field in fields if field.status is ReachStatus.UNKNOWN]
    return (unknown or sorted(fields, key=_order))[0]


def narrowed(field: AxisReach, axis: int) -> AxisReach:
    """Return the field of the narrowest entry along an axis of channels, for all of them; positions stay apart."""
    layout = field.layout
    parts = range(axis, axis + 1) if layout is None else layout.parts_of(axis)
    varying = [part for part in parts if part not in field.along and field.varies(part)]
    if not varying:
        return field
    widths = _widths(field, varying)
    place = dict(zip(varying, np.unravel_index(int(widths.argmin()), widths.shape), strict=True))

    def picked(array: Positions) -> Positions:
        for part, at in place.items():
            if array.shape[part] > 1:
                array = array.take([int(at)], axis=part)
        return array

    if layout is not None:
        classes = tuple(None if part in place else index for part, index in enumerate(layout.classes))
        layout = ArrayLayout(layout.groups, classes).settled()
    return replace(
        field, clipped=both(picked, field.clipped), endless=field.endless and both(picked, field.endless), layout=layout
    )


def narrowest_of_rows(field: AxisReach, part: int, rows: Positions) -> Positions:
    """Return of each row of entries along a part the narrowest one, (rows, 1)."""
    widths = _widths(field, [part])[rows]
    chosen: Positions = np.take_along_axis(rows, widths.argmin(axis=1)[:, None], axis=1)
    return chosen


def width(field: AxisReach) -> int | None:
    """Return the most pixels that any position spans; None where that is not known."""
    return None if field.status is ReachStatus.UNKNOWN else int(_widths(field, ()))


def _order(field: AxisReach) -> tuple[bool, int]:
    return field.status is not ReachStatus.EXACT, int(_widths(field, ()))


def _widths(field: AxisReach, parts: Iterable[int]) -> Integers:
    """Return the width of each entry along some parts."""
    lo, hi = field.endless or field.clipped
    spans = hi - lo + 1
    widths = np.asarray(spans.max(axis=tuple(axis for axis in range(spans.ndim) if axis not in tuple(parts))), np.int64)
    return np.where(widths > 0, widths, _NOTHING)

"""A walk back from one cell in the box around what it has read: late in a network at 512 pixels that is 200 of them.

An array of `graph.reach_walk` is kept for a part of each axis, and is 0 outside of it. Inside it has one number for
each position, or one for all. None stands for all of an axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from convscope.arrays import Shape
from convscope.geometry.relation import Concat, Expand, Mix, Permute, RelationStep, Taps
from convscope.geometry.taps import NO_TAP, TapTable

Reads = npt.NDArray[np.floating[Any]]
AxisPart = tuple[int, int] | None
"""First position of an axis and the one after the last; None for all of it."""
WalkBox = tuple[AxisPart, ...]


def in_full(array: Reads, box: WalkBox, shape: Shape) -> Reads:
    """Return an array with all of each axis, size 1 where it is the same everywhere."""
    if all(part is None for part in box):
        return array
    sizes = [length if part is None else size for length, part, size in zip(array.shape, box, shape, strict=True)]
    full = np.zeros(sizes, dtype=array.dtype)
    full[tuple(slice(None) if part is None else slice(*part) for part in box)] = array
    return full


def joined_boxes(one: WalkBox, other: WalkBox) -> WalkBox:
    """Return the box around two.

    >>> joined_boxes(((2, 4), None), ((3, 9), (0, 1)))
    ((2, 9), None)
    """
    pairs = zip(one, other, strict=True)
    return tuple(None if a is None or b is None else (min(a[0], b[0]), max(a[1], b[1])) for a, b in pairs)


def in_box(array: Reads, box: WalkBox, wider: WalkBox, shape: Shape) -> Reads:
    """Return an array of a box as one of a wider box."""
    if box == wider:
        return array
    sizes, places = [], []
    for length, part, around, size in zip(array.shape, box, wider, shape, strict=True):
        if part == around:
            sizes.append(length)
            places.append(slice(None))
        else:
            first, stop = around or (0, size)
            sizes.append(stop - first)
            assert part is not None, "a wider box is all of an axis where this one is"
            places.append(slice(part[0] - first, part[1] - first))
    full = np.zeros(sizes, dtype=array.dtype)
    full[tuple(places)] = array
    return full


def before_step(
    step: RelationStep, array: Reads, box: WalkBox, before: Shape, after: Shape
) -> tuple[Reads, RelationStep | None, Shape, Shape, WalkBox] | None:
    """Return an array of a box with the step that leads back from it, on the box alone; None where that reads nothing.

    Args:
        step: the step.
        array: after it.
        box: of the array.
        before: the shape before it, in full.
        after: the shape after it, in full.

    Returns:
        The array, the step on it (None where it is done), the shapes before and after that, and the box before.
    """
    match step:
        case Taps(axis, table) if (part := box[axis]) is not None:
            cut = part_of_table(table, *part)
            if cut is None:
                return None
            inner, first = cut
            there = _put(box, axis, (first, first + inner.input_size))
            return array, Taps(axis, inner), _within(before, there), _within(after, box), there
        case Mix(axis, size, groups) if (part := box[axis]) is not None:
            return _mix(axis, size, groups, array, box, before, after)
        case Concat(axis, offset, length, _) if (part := box[axis]) is not None:
            first, stop = max(part[0], offset), min(part[1], offset + length)
            if first >= stop:
                return None
            if array.shape[axis] > 1:
                array = array.take(range(first - part[0], stop - part[0]), axis=axis)
            there = _put(box, axis, (first - offset, stop - offset))
            return array, None, (), (), there
        case Permute(order):
            there = tuple(box[order.index(axis)] for axis in range(len(order)))
            return array, step, _within(before, there), _within(after, box), there
        case Expand(new):
            added = len(after) - len(before)
            kept = tuple(part if size == new[at + added] else None
                         for at, (part, size) in enumerate(zip(box[added:], before, strict=True)))  # fmt: skip
            cropped = _within(after, box)
            return array, Expand(cropped), _within(before, kept), cropped, kept
        case Taps() | Mix() | Concat():
            return array, step, _within(before, box), _within(after, box), box
        case _:
            full = (None,) * len(before)
            return in_full(array, box, after), step, before, after, full


def _mix(
    axis: int, size: int, groups: int, array: Reads, box: WalkBox, before: Shape, after: Shape
) -> tuple[Reads, RelationStep, Shape, Shape, WalkBox]:
    part = box[axis]
    assert part is not None
    if groups == 1:
        there = _put(box, axis, None)
        return array, Mix(axis, part[1] - part[0], 1), _within(before, there), _within(after, box), there
    own, members = size // groups, before[axis] // groups
    first, stop = part[0] // own, -(-part[1] // own)  # groups
    whole = _put(box, axis, (first * own, stop * own))
    array = in_box(array, box, whole, after)
    there = _put(box, axis, (first * members, stop * members))
    step = Mix(axis, (stop - first) * own, stop - first)
    return array, step, _within(before, there), _within(after, whole), there


@lru_cache(maxsize=8192)
def part_of_table(table: TapTable, first: int, stop: int) -> tuple[TapTable, int] | None:
    """Return the rows of a table from one on, on the input positions that they read, and the first of these."""
    if (first, stop) == (0, table.output_size) and not table.never_read():
        return table, 0
    rows, inside = table.positions[first:stop], table.inside[first:stop]
    if not inside.any():
        return None
    start, end = int(rows[inside].min()), int(rows[inside].max()) + 1
    # What lies outside of the input stays outside of its part.
    moved = np.where(rows == NO_TAP, NO_TAP, np.where(inside, rows - start, -1))
    return TapTable(np.ascontiguousarray(moved), end - start), start


def _put(box: WalkBox, axis: int, part: AxisPart) -> WalkBox:
    return (*box[:axis], part, *box[axis + 1 :])


def _within(shape: Shape, box: Sequence[AxisPart]) -> Shape:
    return tuple(size if part is None else part[1] - part[0] for size, part in zip(shape, box, strict=True))

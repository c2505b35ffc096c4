"""Several reaches of one value brought into one layout, so that their arrays can be compared entry by entry."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise
from math import prod

import numpy as np

from convscope.geometry.taps import Positions
from convscope.graph.layouts import both, distinct_rows, moved, one_part, written_out
from convscope.graph.reach import ArrayLayout, AxisReach, value_shape
from convscope.graph.reshaping import reshaped


def conformed(fields: Sequence[AxisReach], *, apart: int | None = None) -> list[AxisReach]:
    """Return reaches of one value with the same parts, and the same classes along each of them.

    Args:
        fields: the reaches.
        apart: an axis along which they are pieces of the value, each of one part and a size of its own.
    """
    found = list(fields)
    known = next((f.layout for f in found if f.layout is not None), None)
    if known is None:
        return found
    shape = value_shape(known)
    for axis in range(len(shape)):
        if axis == apart:
            continue
        groups = [f.layout.groups[axis] if f.layout else (shape[axis],) for f in found]
        if len(set(groups)) > 1:
            carrying = {g for f, g in zip(found, groups, strict=True) if _carries(f, axis)}
            target = max(carrying or groups, key=len) if len(carrying) < 2 else (shape[axis],)
            found = _split_alike(found, axis, carrying, shape) or [
                f if g == target else _regrouped(f, axis, target, shape) for f, g in zip(found, groups, strict=True)
            ]
    skipped = None
    if apart is not None:
        skipped = next((f.layout.parts_of(apart)[0] for f in found if f.layout), apart)
    for part in range(found[0].clipped[0].ndim):
        if part != skipped:
            _share_classes(found, part, shape)
    return found


def _split_alike(
    fields: Sequence[AxisReach], axis: int, carrying: Collection[tuple[int, ...]], shape: tuple[int, ...]
) -> list[AxisReach] | None:
    """Return the reaches with the parts of an axis split until they are the same in all; None where that can't be.

    Where an axis of 56 positions was cut into windows of 7, its parts are 8 and 7; where it was not, it is one part of
    56. Where both meet in a sum, the parts of both are 8 and 7.
    """
    target = None if len(carrying) < 2 or any(1 in group for group in carrying) else common_parts(carrying)
    if target is None:
        return None
    found = []
    for field in fields:
        there = _split if _carries(field, axis) else _regrouped
        found.append(there(field, axis, target, shape))
        before, after = _plain(field, shape).groups, _plain(found[-1], shape).groups
        if after != (*before[:axis], target, *before[axis + 1 :]):
            return None
    return found


def common_parts(groups: Collection[tuple[int, ...]]) -> tuple[int, ...] | None:
    """Return the fewest parts of an axis into which the parts of each group can be split; None where there are none.

    >>> common_parts([(56, 56), (8, 7, 8, 7)]), common_parts([(4, 6), (6, 4)])
    ((8, 7, 8, 7), None)
    """
    ends = sorted({prod(group[i:]) for group in groups for i in range(len(group) + 1)}, reverse=True)
    ratios = [divmod(outer, inner) for outer, inner in pairwise(ends)]
    return None if any(rest for _, rest in ratios) else tuple(ratio for ratio, _ in ratios)


def _split(field: AxisReach, axis: int, target: tuple[int, ...], shape: tuple[int, ...]) -> AxisReach:
    """Return the reach with the parts of an axis split into finer ones."""
    field = reshaped(field, shape, (*shape[:axis], *target, *shape[axis + 1 :]))
    layout = field.layout
    if layout is None:
        layout = ArrayLayout.plain((*shape[:axis], *target, *shape[axis + 1 :]))
    apart = layout.groups[axis : axis + len(target)]
    joined = tuple(size for group in apart for size in group)
    return replace(
        field,
        layout=ArrayLayout((*layout.groups[:axis], joined, *layout.groups[axis + len(target) :]), layout.classes),
    )


def _plain(field: AxisReach, shape: tuple[int, ...]) -> ArrayLayout:
    return field.layout or ArrayLayout.plain(shape)


def _carries(field: AxisReach, axis: int) -> bool:
    parts = range(axis, axis + 1) if field.layout is None else field.layout.parts_of(axis)
    return any(part in field.along or field.varies(part) for part in parts)


def _regrouped(field: AxisReach, axis: int, target: tuple[int, ...], shape: tuple[int, ...]) -> AxisReach:
    """Return the reach with other parts for an axis: all of them merged, or those of others where nothing varies."""
    if len(target) == 1:
        return one_part(field, axis)[0]
    field, first = one_part(field, axis)
    layout = _plain(field, shape)
    added = len(target) - 1
    return moved(
        field,
        lambda a: a.reshape(*a.shape[:first], *(1,) * len(target), *a.shape[first + 1 :]),
        lambda part: part + added * (part > first),
        ArrayLayout(
            (*layout.groups[:axis], target, *layout.groups[axis + 1 :]),
            (*layout.classes[:first], *(None,) * len(target), *layout.classes[first + 1 :]),
        ),
    )


def _share_classes(fields: list[AxisReach], part: int, shape: tuple[int, ...]) -> None:
    """Give all reaches the same classes along a part; an entry per position where one of them has that."""
    indices = [f.layout.classes[part] if f.layout and f.varies(part) else None for f in fields]
    ours = [index for index in indices if index is not None]
    if not ours:
        return
    if any(index is None and f.varies(part) for index, f in zip(indices, fields, strict=True)):
        fields[:] = [written_out(f, part) for f in fields]
        return
    if all(index is ours[0] or np.array_equal(index, ours[0]) for index in ours[1:]):
        common: Positions = ours[0]
        picks: list[Positions | None] = [None] * len(fields)
    else:
        first, common = distinct_rows(np.stack(ours, axis=1))
        picks = [None if index is None else index[first] for index in indices]
    for i, (field, pick) in enumerate(zip(fields, picks, strict=True)):
        layout = _plain(field, shape)
        layout = ArrayLayout(layout.groups, (*layout.classes[:part], common, *layout.classes[part + 1 :]))
        if pick is not None:

            def change(array: Positions, pick: Positions = pick) -> Positions:
                return array if array.shape[part] == 1 else array.take(pick, axis=part)

            field = replace(
                field, clipped=both(change, field.clipped), endless=field.endless and both(change, field.endless)
            )
        fields[i] = replace(field, layout=layout)

"""Several reaches of one value brought into one layout, so that their arrays can be compared entry by entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from convscope.geometry.taps import Positions
from convscope.graph.layouts import both, distinct_rows, moved, one_part, written_out
from convscope.graph.reach import ArrayLayout, AxisReach, value_shape


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
            found = [
                f if g == target else _regrouped(f, axis, target, shape) for f, g in zip(found, groups, strict=True)
            ]
    skipped = None
    if apart is not None:
        skipped = next((f.layout.parts_of(apart)[0] for f in found if f.layout), apart)
    for part in range(found[0].clipped[0].ndim):
        if part != skipped:
            _share_classes(found, part, shape)
    return found


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

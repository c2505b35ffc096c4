"""Changes of layout: the parts of an axis merged, classes found and written out.

None of these changes what a reach says; `graph.intervals` does. `graph.reshaping` regroups and splits parts,
`graph.conforming` brings several reaches into one layout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np

from convscope.geometry.taps import Positions
from convscope.graph.reach import ArrayLayout, AxisReach, IndexInterval

_BITS = 62  # the most classes that have a bit each in an int64


def both(change: Callable[[Positions], Positions], interval: IndexInterval) -> IndexInterval:
    """Apply a change to first and last."""
    lo, hi = interval
    return change(lo), change(hi)


def distinct_rows(rows: Positions) -> tuple[Positions, Positions]:
    """Return where each different row first stands, and for every row which of these it equals.

    >>> first, which = distinct_rows(np.array([[5, 6], [1, 2], [5, 6]]))
    >>> first.tolist(), which.tolist()
    ([0, 1], [0, 1, 0])
    """
    if (rows == rows[:1]).all():
        return np.zeros(1, dtype=np.int64), np.zeros(len(rows), dtype=np.int64)
    found = (
        np.unique(rows[:, 0], return_index=True, return_inverse=True)
        if rows.shape[1] == 1
        else np.unique(rows, axis=0, return_index=True, return_inverse=True)
    )
    first, which = found[1], found[2].reshape(-1)
    order = np.argsort(first)  # classes are numbered in the order in which they occur
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    return first[order], rank[which]


def distinct_sets(rows: Positions) -> tuple[Positions, Positions]:
    """Return the same of rows that stand for sets of classes, in any order and with repetitions.

    >>> distinct_sets(np.array([[0, 1], [1, 0], [1, 1]]))[1].tolist()
    [0, 0, 1]
    """
    if rows.shape[1] > 1:
        if rows.max(initial=0) < _BITS:
            rows = np.bitwise_or.reduce(np.int64(1) << rows, axis=1)[:, None]
        else:
            rows = np.sort(rows, axis=1)
    return distinct_rows(rows)


def moved(
    field: AxisReach,
    change: Callable[[Positions], Positions],
    part_of: Callable[[int], int],
    layout: ArrayLayout | None,
) -> AxisReach:
    """Move parts about: `change` on the arrays, `part_of` on the numbers of parts."""
    lattice = field.lattice and replace(field.lattice, part=part_of(field.lattice.part))
    return AxisReach(
        both(change, field.clipped),
        field.endless and both(change, field.endless),
        lattice,
        frozenset(map(part_of, field.along)),
        field.status,
        field.rising,
        layout,
        field.pairs,
    )


def written_out(field: AxisReach, part: int) -> AxisReach:
    """Return the reach with an entry per position along a part, or one for all of them."""
    index = field.layout.classes[part] if field.layout else None
    if field.layout is None or index is None:
        return field

    def spread(array: Positions) -> Positions:
        return array if array.shape[part] == 1 else array.take(index, axis=part)

    classes = (*field.layout.classes[:part], None, *field.layout.classes[part + 1 :])
    layout = ArrayLayout(field.layout.groups, classes).settled()
    return replace(
        field, clipped=both(spread, field.clipped), endless=field.endless and both(spread, field.endless), layout=layout
    )


def one_part(field: AxisReach, axis: int) -> tuple[AxisReach, int]:
    """Return the reach with the parts of an axis merged into one, and that part's number."""
    layout = field.layout
    if layout is None:
        return field, axis
    parts = layout.parts_of(axis)
    return (field if len(parts) == 1 else merged(field, layout, axis, parts)), parts[0]


def merged(field: AxisReach, layout: ArrayLayout, axis: int, parts: range) -> AxisReach:
    """Return the reach with the parts of an axis made one; each of its entries is one of the product of theirs."""
    group, first, stop = layout.groups[axis], parts.start, parts.stop
    total, removed = prod(group), len(parts) - 1
    wide = [part for part, size in zip(parts, group, strict=True) if size > 1]
    leading = wide[0] if wide else first
    lattice = field.lattice
    if lattice is not None:
        if lattice.part >= stop:
            lattice = replace(lattice, part=lattice.part - removed)
        elif lattice.part >= first:
            # The endless form lasts where the source is laid out along the leading part.
            inner = prod(group[lattice.part - first + 1 :])
            lattice = lattice.counted_in(inner=inner, outer=1, part=first) if lattice.part == leading else None
    kept = lattice is not None and lattice.part == first
    # Each entry along the merged part is one of the product of the parts' entries.
    counts, index = [], np.zeros((1,) * len(group), dtype=np.int64)
    for i, part in enumerate(parts):
        place = np.arange(group[i]) if (codes := layout.classes[part]) is None else codes
        count = int(place.max(initial=0)) + 1 if field.varies(part) else 1
        counts.append(count)
        line = (place if count > 1 else np.zeros(group[i], dtype=np.int64)).reshape(
            [-1 if j == i else 1 for j in range(len(group))]
        )
        index = index * count + line
    entries = prod(counts)
    dense = entries > 1 and (kept or 2 * entries > total)
    flat = np.broadcast_to(index, group).reshape(-1)
    in_order = entries == total

    def change(array: Positions) -> Positions:
        if all(array.shape[part] == 1 for part in parts):
            return array.reshape(*array.shape[:first], 1, *array.shape[stop:])
        full = (*array.shape[:first], *counts, *array.shape[stop:])
        array = np.broadcast_to(array, full).reshape(*array.shape[:first], entries, *array.shape[stop:])
        return array.take(flat, axis=first) if dense and not in_order else array

    varying = [part for part, count in zip(parts, counts, strict=True) if count > 1]
    carries = not field.along.isdisjoint(parts)
    endless = field.endless if lattice is not None else None
    groups = (*layout.groups[:axis], (total,), *layout.groups[axis + 1 :])
    classes = (*layout.classes[:first], None if dense or entries == 1 else flat, *layout.classes[stop:])
    return AxisReach(
        both(change, field.clipped),
        endless and both(change, endless),
        lattice,
        frozenset(first if part in parts else part - removed * (part >= stop) for part in field.along),
        field.status,
        field.rising and not (carries and varying not in ([], [leading])),
        ArrayLayout(groups, classes).settled(),
        field.pairs,
    )


def sized(
    field: AxisReach, axis: int, part: int, size: int, index: Positions | None, shape: tuple[int, ...]
) -> AxisReach:
    """Return the reach with another size, and other classes, along an axis of one part."""
    layout = field.layout
    if layout is None:
        if index is None:
            return field
        layout = ArrayLayout.plain(shape)
    there = ArrayLayout(
        (*layout.groups[:axis], (size,), *layout.groups[axis + 1 :]),
        (*layout.classes[:part], index, *layout.classes[part + 1 :]),
    )
    return replace(field, layout=there.settled())

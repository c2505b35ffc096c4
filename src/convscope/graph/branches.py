"""Branches of a network joined: their sum reads what any of them reads, their concatenation each its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import lcm

import numpy as np

from convscope.geometry.relation import Concat, ReachStatus
from convscope.graph.conforming import conformed
from convscope.graph.layouts import one_part, sized
from convscope.graph.reach import EMPTY_HI, EMPTY_LO, ArrayLayout, AxisReach, IndexInterval, Lattice

ReachPart = tuple[AxisReach, Concat | None]
"""What one branch brings, and where in a concatenation it lies."""


def union(parts: Sequence[ReachPart], shape: tuple[int, ...]) -> AxisReach:
    """Return the union of the intervals of several branches of a value of this shape.

    Parts of a concatenation keep their positions.
    """
    first, place = parts[0]
    if len(parts) == 1 and place is None:
        return first
    if any(place is not None for _, place in parts):
        laid = _lay([(field, place) for field, place in parts if place is not None], shape)
        rest = [field for field, place in parts if place is None]
        return union([(field, None) for field in (laid, *rest)], shape)
    fields = [field for field, _ in parts]
    if any(field.layout is not None for field in fields):
        fields = conformed(fields)
    lattice = _common_lattice(fields)
    clipped = _join([field.clipped for field in fields])
    endless = _join([field.endless for field in fields if field.endless]) if lattice else None
    status = max(field.status for field in fields)
    along = frozenset[int]().union(*(field.along for field in fields))
    pairs = any(field.pairs for field in fields) or all(field.along < along for field in fields)
    rising = all(field.rising for field in fields)
    there = AxisReach(clipped, endless, lattice, along, status, rising, fields[0].layout, pairs)
    return there if status is ReachStatus.EXACT else _uniform(there)


def _uniform(field: AxisReach) -> AxisReach:
    """Return a reach that is the same at all positions, such as the whole axis, as one number."""
    lo, hi = field.clipped
    if (
        (lo.size == 1 and hi.size == 1)
        or field.endless is not None
        or (lo != lo.flat[0]).any()
        or (hi != hi.flat[0]).any()
    ):
        return field
    one = (1,) * lo.ndim
    layout = field.layout and ArrayLayout(field.layout.groups, (None,) * lo.ndim).settled()
    return replace(field, clipped=(lo.flat[:1].reshape(one), hi.flat[:1].reshape(one)), layout=layout)


def _common_lattice(fields: Sequence[AxisReach]) -> Lattice | None:
    """Return one lattice for all branches: the same pixels per position along the same part, else none."""
    first = fields[0].lattice
    if first is None:
        return None
    # Branches of the same stride may repeat at other periods (2 pixels in 1 position, 4 in 2): the least common one
    # holds for all. Of different strides, the branches drift apart and the union has no period.
    period = first.period
    for other in (field.lattice for field in fields[1:]):
        if other is None or other.part != first.part or other.stride != first.stride:
            return None
        period = lcm(period, other.period)
    return Lattice(first.part, period, first.advance * (period // first.period))


def _join(intervals: Sequence[IndexInterval]) -> IndexInterval:
    lo, hi = intervals[0]
    for other_lo, other_hi in intervals[1:]:
        if other_lo is not lo:
            lo = np.minimum(lo, other_lo)
        if other_hi is not hi:
            hi = np.maximum(hi, other_hi)
    return lo, hi


def _lay(placed: Sequence[tuple[AxisReach, Concat]], shape: tuple[int, ...]) -> AxisReach:
    """Lay the parts of a concatenation side by side along their axis; those that agree are one class."""
    axis, size = placed[0][1].axis, placed[0][1].size
    fields = []
    for field, _ in placed:
        # The lattice goes first: it would have the merged axis written out.
        fields.append(one_part(field.without_lattice_along(axis), axis)[0])
    fields = conformed(fields, apart=axis)
    part = next((f.layout.parts_of(axis)[0] for f in fields if f.layout), axis)
    lattice = _common_lattice(fields)
    if lattice is None:
        fields = [field.without_lattice() for field in fields]
    # Along the axis, entries of all parts stand in a row, and the last one is empty.
    index = np.full(size, -1, dtype=np.int64)
    kept: list[AxisReach] = []
    counts: list[int] = []
    for field, (_, at) in zip(fields, placed, strict=True):
        codes = field.layout.classes[part] if field.layout else None
        count = 1 if not field.varies(part) else at.length if codes is None else int(codes.max()) + 1
        if count == 1 and counts[-1:] == [1] and _agree(kept[-1], field):
            start = sum(counts) - 1
        else:
            start = sum(counts)
            kept.append(field)
            counts.append(count)
        index[at.offset : at.offset + at.length] = start + (
            0 if count == 1 else np.arange(count) if codes is None else codes
        )
    entries = sum(counts)
    empty = bool((index < 0).any())
    index[index < 0] = entries
    dense = 2 * (entries + empty) > size and entries + empty > 1

    def row(intervals: Sequence[IndexInterval]) -> IndexInterval:
        ends = []
        for end, nothing in ((0, EMPTY_LO), (1, EMPTY_HI)):
            arrays = [interval[end] for interval in intervals]
            common = np.broadcast_shapes(*((*a.shape[:part], 1, *a.shape[part + 1 :]) for a in arrays))
            full = [
                np.broadcast_to(a, (*common[:part], n, *common[part + 1 :]))
                for a, n in zip(arrays, counts, strict=True)
            ]
            full += [np.full((*common[:part], 1, *common[part + 1 :]), nothing)] * empty
            joined = full[0] if len(full) == 1 else np.concatenate(full, axis=part)
            ends.append(joined.take(index, axis=part) if dense else joined)
        return ends[0], ends[1]

    there = AxisReach(
        row([field.clipped for field in kept]),
        row([field.endless for field in kept if field.endless]) if lattice else None,
        lattice,
        frozenset[int]().union(*(field.along for field in fields)),
        max(field.status for field in fields),
        all(field.rising for field in fields) and not empty and all(part not in field.along for field in fields),
        next((field.layout for field in fields if field.layout), None),
        any(field.pairs for field in fields),
    )
    there = sized(there, axis, part, size, None if dense or entries + empty == 1 else index, shape)
    return _in_a_row(there, part, shape)


def _in_a_row(field: AxisReach, part: int, shape: tuple[int, ...]) -> AxisReach:
    """Return a reach along the part of a concatenation, if positions taken one by one lie along it again, evenly."""
    sizes = field.layout.parts if field.layout else shape
    lo, hi = field.clipped
    alone = lo.shape == hi.shape and lo.size == lo.shape[part] == sizes[part] > 1
    if not alone or field.status is not ReachStatus.EXACT or any(sizes[one] > 1 for one in field.along):
        return field
    steps = np.diff(lo, axis=part)
    step = int(steps.flat[0])
    if not step or (steps != step).any() or (np.diff(hi, axis=part) != step).any():
        return field
    endless, lattice = field.clipped, Lattice(part, 1, step)
    return replace(field, endless=endless, lattice=lattice, along=frozenset({part}), rising=step > 0)


def _agree(one: AxisReach, other: AxisReach) -> bool:
    """Return whether two reaches say the same, inside the source and beyond its ends."""
    pairs = [*zip(one.clipped, other.clipped, strict=True)]
    if one.endless and other.endless:
        pairs += zip(one.endless, other.endless, strict=True)
    return (one.endless is None) == (other.endless is None) and all(a is b or np.array_equal(a, b) for a, b in pairs)

"""Intervals on the move: how the reach of one value becomes the reach of the next, step by step.

Each step of a relation (`geometry.relation`) moves a reach (`graph.reach`) on; branches are joined by taking the
smaller first and the larger last.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import gcd, prod

import numpy as np

from convscope.geometry.relation import (
    Concat,
    Expand,
    Mix,
    Permute,
    ReachStatus,
    RelationStep,
    Reshape,
    Taps,
    shape_after,
)
from convscope.geometry.taps import NO_TAP, Positions, TapTable
from convscope.graph.branches import union
from convscope.graph.layouts import distinct_sets, moved, one_part, sized
from convscope.graph.narrowest import narrowed, narrowest_of_rows
from convscope.graph.reach import EMPTY_HI, EMPTY_LO, ArrayLayout, AxisReach, IndexInterval, Lattice
from convscope.graph.reshaping import reshaped


def walk(
    field: AxisReach, steps: tuple[RelationStep, ...], shape: tuple[int, ...], *, smallest: bool = False
) -> AxisReach | None:
    """Return the reach after some steps, from a value of this shape; None where nothing is left of it.

    With `smallest`, channels that are mixed pass on the narrowest of their fields in place of the union.
    """
    for step in steps:
        after = shape_after(step, shape)
        if 0 in after:
            return None
        field = _advance(field, step, shape, smallest)
        shape = after
    return field


def _advance(field: AxisReach, step: RelationStep, shape: tuple[int, ...], smallest: bool) -> AxisReach:
    match step:
        case Taps(axis, table):
            return field if table.identity else _tap(field, axis, table, shape)
        case Mix(axis, size, groups):
            if groups > 1:
                return _mix_groups(field, axis, size, groups, shape, smallest)
            return _mix(narrowed(field, axis) if smallest else field, axis, size, shape)
        case Permute(order):
            return _permute(field, order)
        case Expand(new):
            return _expand(field, shape, new)
        case Reshape(new):
            return reshaped(field, shape, new)
        case Concat(axis, _, length, size):
            return field if length == size else union([(field, step)], shape_after(step, shape))


# --- the same positions elsewhere ---------------------------------------------------------------------------------


def _permute(field: AxisReach, order: tuple[int, ...]) -> AxisReach:
    layout = field.layout
    if layout is None:
        return moved(field, lambda a: a.transpose(order), order.index, None)
    parts = [part for axis in order for part in layout.parts_of(axis)]
    groups = tuple(layout.groups[axis] for axis in order)
    there = ArrayLayout(groups, tuple(layout.classes[part] for part in parts))
    return moved(field, lambda a: a.transpose(parts), parts.index, there)


def _expand(field: AxisReach, shape: tuple[int, ...], new: tuple[int, ...]) -> AxisReach:
    added = len(new) - len(shape)
    if added:
        layout = field.layout and ArrayLayout(
            ((1,),) * added + field.layout.groups, (None,) * added + field.layout.classes
        )
        field = moved(field, lambda a: a.reshape((1,) * added + a.shape), added.__add__, layout)
    if field.layout is not None:
        for axis, size in enumerate(new):
            if field.layout is not None and prod(field.layout.groups[axis]) != size:
                field, part = one_part(field, axis)
                field = sized(field, axis, part, size, None, new)
    return field


# --- windows: convolution, pooling, resizing, slicing -------------------------------------------------------------


def _tap(field: AxisReach, axis: int, table: TapTable, shape: tuple[int, ...]) -> AxisReach:
    field, part = one_part(field if table.pace else field.without_lattice_along(axis), axis)
    lattice, endless = field.lattice, field.endless
    laid = lattice is not None and lattice.part == part
    index = field.layout.classes[part] if field.layout else None
    if not laid and (index is not None or not field.varies(part)):
        return _pick_classes(field, axis, part, table, shape)
    # `rising` says nothing of other parts: over channels, any tap may hold the end. It lasts where the window's first
    # taps and last taps rise too (`ends`); along another part only where no window is empty, for an empty interval is
    # above and below every other.
    rising = field.rising and part in field.along and table.ends is not None
    clipped = _pick(field.clipped, part, table, rising)
    if endless is not None and lattice is not None:
        if laid:
            endless, lattice = _pick_endless(endless, lattice, table, rising)
        else:
            endless = _pick(endless, part, table, rising)
    stays = rising or (field.rising and part not in field.along and table.never_empty)
    there = AxisReach(clipped, endless, lattice, field.along, field.status, stays, field.layout, field.pairs)
    return there if field.layout is None else sized(there, axis, part, table.output_size, None, shape)


def _pick(interval: IndexInterval, part: int, table: TapTable, rising: bool) -> IndexInterval:
    """Return the first and last over the taps that lie inside."""
    lo, hi = interval
    if lo.shape[part] == 1 != table.input_size:
        if table.never_empty:
            return interval  # nothing varies along this part: all taps read the same
        full = (*lo.shape[:part], table.input_size, *lo.shape[part + 1 :])
        lo, hi = np.broadcast_to(lo, full), np.broadcast_to(hi, full)
    if rising and table.ends is not None:
        return lo.take(table.ends[0], axis=part), hi.take(table.ends[1], axis=part)
    return _reduce(lo, hi, part, table.clipped, None)


def _pick_classes(field: AxisReach, axis: int, part: int, table: TapTable, shape: tuple[int, ...]) -> AxisReach:
    """Return the same along a part of few classes: windows that read the same classes are one class."""
    index = field.layout.classes[part] if field.layout and field.varies(part) else None
    stays = field.rising and part not in field.along and table.never_empty
    if index is None and table.never_empty:
        there = field if stays == field.rising else replace(field, rising=stays)
        return there if field.layout is None else sized(there, axis, part, table.output_size, None, shape)
    if index is None:
        index = np.zeros(table.input_size, dtype=np.int64)
    outside = int(index.max()) + 1
    rows = np.append(index, outside)[table.clipped]
    return _by_rows(field, axis, part, rows, outside, shape, rising=stays)


def _by_rows(
    field: AxisReach,
    axis: int,
    part: int,
    rows: Positions,
    entries: int,
    shape: tuple[int, ...],
    *,
    rising: bool,
    repeats: int = 1,
) -> AxisReach:
    """Return the reach whose positions along a part read a row of classes each, `repeats` neighbours the same.

    There are `entries` classes; the number after the last stands for nothing.
    """
    first, index = distinct_sets(rows)
    few, index = rows[first], index.repeat(repeats)
    dense = first.size > 1 and 2 * first.size > index.size

    def picked(interval: IndexInterval) -> IndexInterval:
        lo, hi = interval
        full = (*lo.shape[:part], entries, *lo.shape[part + 1 :])
        lo, hi = _reduce(np.broadcast_to(lo, full), np.broadcast_to(hi, full), part, few, None)
        return (lo.take(index, axis=part), hi.take(index, axis=part)) if dense else (lo, hi)

    there = replace(
        field, clipped=picked(field.clipped), endless=field.endless and picked(field.endless), rising=rising
    )
    return sized(there, axis, part, index.size, None if dense or first.size == 1 else index, shape)


def _reduce(lo: Positions, hi: Positions, part: int, index: Positions, shift: Positions | None) -> IndexInterval:
    """Take `index` (positions, taps) along a part, one past the end being empty; min and max over the taps."""
    if part != lo.ndim - 1:
        lo, hi = lo.swapaxes(part, -1), hi.swapaxes(part, -1)
    end = (*lo.shape[:-1], 1)
    lo = np.concatenate([lo, np.full(end, EMPTY_LO)], axis=-1)[..., index]
    hi = np.concatenate([hi, np.full(end, EMPTY_HI)], axis=-1)[..., index]
    if shift is not None:
        lo, hi = lo + shift, hi + shift
    lo, hi = lo.min(axis=-1), hi.max(axis=-1)
    return (lo.swapaxes(part, -1), hi.swapaxes(part, -1)) if part != lo.ndim - 1 else (lo, hi)


def _pick_endless(
    interval: IndexInterval, lattice: Lattice, table: TapTable, rising: bool
) -> tuple[IndexInterval | None, Lattice | None]:
    """Return the same where taps may lie beyond the ends: there the field goes on along its lattice."""
    if table.pace is None or lattice.period > table.input_size:
        return None, None
    out_positions, in_positions = table.pace
    times = lattice.period // gcd(lattice.period, in_positions)
    onward = Lattice(lattice.part, times * out_positions, lattice.advance * (times * in_positions // lattice.period))
    index, turns = _beyond(table, lattice.period)
    shift = turns * lattice.advance
    if rising and lattice.advance > 0 and table.ordered:
        lo, hi = interval
        ends = [1] * lo.ndim
        ends[lattice.part] = -1
        first = lo.take(index[:, 0], axis=lattice.part) + shift[:, 0].reshape(ends)
        return (first, hi.take(index[:, -1], axis=lattice.part) + shift[:, -1].reshape(ends)), onward
    return _reduce(*interval, lattice.part, index, shift), onward


@lru_cache(maxsize=4096)
def _beyond(table: TapTable, period: int) -> tuple[Positions, Positions]:
    """Return the taps brought inside by whole periods: (index, periods to add); no tap is one past the end."""
    positions = table.positions if table.endless is None else table.endless
    size = table.input_size
    turns = np.where(positions < 0, positions // period, 0) + np.where(
        positions >= size, -((positions - (size - 1)) // -period), 0
    )
    missing = positions == NO_TAP
    return np.where(missing, size, positions - turns * period), np.where(missing, 0, turns)


# --- mixing -------------------------------------------------------------------------------------------------------


def _mix(field: AxisReach, axis: int, size: int, shape: tuple[int, ...]) -> AxisReach:
    layout = field.layout
    if layout is None and axis not in field.along and not field.pairs:
        held = (field.clipped, field.endless) if field.endless else (field.clipped,)
        if all(lo.shape[axis] == 1 for lo, _ in held):
            return field  # the same along this axis already, as where a convolution mixes channels
    parts = range(axis, axis + 1) if layout is None else layout.parts_of(axis)
    first, removed = parts.start, len(parts) - 1
    endless, lattice = field.endless, field.lattice
    if lattice is not None and lattice.part in parts:
        endless = lattice = None

    def mixed(interval: IndexInterval) -> IndexInterval:
        lo, hi = interval
        if any(lo.shape[part] > 1 for part in parts):
            over = tuple(parts)
            lo, hi = lo.min(axis=over, keepdims=True), hi.max(axis=over, keepdims=True)
        if removed:
            one = (*lo.shape[: first + 1], *lo.shape[parts.stop :])
            lo, hi = lo.reshape(one), hi.reshape(one)
        return lo, hi

    clipped, endless = mixed(field.clipped), endless and mixed(endless)
    along = field.along.difference(parts)
    carries = len(along) < len(field.along)
    pairs = field.pairs and bool(along) and not carries
    sizes = layout.parts if layout else shape
    if carries and field.pairs and sum(sizes[part] > 1 for part in along) < 2 and _uniform(clipped):
        along = frozenset()  # of attention: the rows are left, but all of them read every column
    status = max(field.status, ReachStatus.WHOLE_AXIS) if carries and not along else field.status
    rising = field.rising and not carries
    if layout is None:
        return AxisReach(clipped, endless, lattice, along, status, rising, None, pairs)
    if removed:
        along = frozenset(part - removed * (part > first) for part in along)
        lattice = lattice and replace(lattice, part=lattice.part - removed * (lattice.part > first))
    there = ArrayLayout(
        (*layout.groups[:axis], (size,), *layout.groups[axis + 1 :]),
        (*layout.classes[:first], None, *layout.classes[parts.stop :]),
    )
    return AxisReach(clipped, endless, lattice, along, status, rising, there.settled(), pairs)


def _uniform(interval: IndexInterval) -> bool:
    return all(bool((end == end.flat[0]).all()) for end in interval)


def _mix_groups(
    field: AxisReach, axis: int, size: int, groups: int, shape: tuple[int, ...], smallest: bool
) -> AxisReach:
    if groups == size == shape[axis]:
        return field  # depthwise: each position reads itself alone
    field, part = one_part(field.without_lattice_along(axis), axis)
    rising = field.rising and part not in field.along
    if not field.varies(part):
        return sized(replace(field, rising=rising), axis, part, size, None, shape)
    index = field.layout.classes[part] if field.layout else None
    entries = shape[axis] if index is None else int(index.max()) + 1
    rows = (np.arange(shape[axis]) if index is None else index).reshape(groups, -1)
    if smallest and part not in field.along:
        rows = narrowest_of_rows(field, part, rows)
    return _by_rows(field, axis, part, rows, entries, shape, rising=rising, repeats=size // groups)

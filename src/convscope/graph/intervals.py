"""Intervals on the move: how the reach of one value becomes the reach of the next, step by step.

A reach holds first and last source positions in arrays that have the value's rank and size 1 wherever nothing varies.
Each step of a relation (`geometry.relation`) moves it on; branches are joined by taking the smaller first and the
larger last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from math import gcd, lcm, prod

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
    reshape_blocks,
    shape_after,
    spread_reshape,
)
from convscope.geometry.taps import NO_TAP, Positions, TapTable

# An empty interval has lo > hi; these survive every min and max.
_EMPTY_LO = np.int64(1 << 60)
_EMPTY_HI = np.int64(-(1 << 60))

# Reshapes that would spread an interval over more elements than this keep only its hull.
_SPREAD_LIMIT = 4_000_000

IndexInterval = tuple[Positions, Positions]


@dataclass(frozen=True, slots=True)
class Lattice:
    """The periodicity of an endless field along `axis`: every `period` positions it moves by `advance` pixels.

    Endless intervals are kept for the positions of the map alone. A tap beyond its ends (in the padding) reads the
    interval of the position that lies whole periods further in, moved by as many times `advance`.
    """

    axis: int
    period: int
    advance: int

    @property
    def stride(self) -> Fraction:
        """Return the input pixels per position."""
        return Fraction(self.advance, self.period)


@dataclass(frozen=True, eq=False, slots=True)
class AxisReach:
    """What the positions of one value depend on, along one axis of one source.

    Args:
        clipped: first and last source position (arrays), inside the source; first > last where there is none.
        endless: the same as if the source had no ends; None where that has no meaning.
        lattice: how `endless` goes on; None with it.
        along: the value's axes that the source's positions are laid out along; none once the axis has been mixed away.
        status: how far the answer can be trusted.
        rising: no interval is empty, and neither end ever falls along an axis of `along`: then the ends of a window are
            the ends of its first and its last tap, and two lookups do where a minimum over all taps would be needed.
    """

    clipped: IndexInterval
    endless: IndexInterval | None
    lattice: Lattice | None
    along: frozenset[int]
    status: ReachStatus
    rising: bool = False


ReachPart = tuple[AxisReach, Concat | None]
"""What one branch brings, and where in a concatenation it lies."""


def nothing(rank: int, status: ReachStatus) -> AxisReach:
    """Return the reach of a value of this rank that reads nothing, or of which nothing is known."""
    empty = (np.full((1,) * rank, _EMPTY_LO), np.full((1,) * rank, _EMPTY_HI))
    return AxisReach(empty, None, None, frozenset(), status)


def itself(shape: tuple[int, ...], axis: int) -> AxisReach:
    """Return the reach of a source along one of its own axes: every position is itself."""
    positions = np.arange(shape[axis]).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    interval = (positions, positions)
    return AxisReach(interval, interval, Lattice(axis, 1, 1), frozenset({axis}), ReachStatus.EXACT, rising=True)


def walk(field: AxisReach, steps: tuple[RelationStep, ...], shape: tuple[int, ...]) -> AxisReach:
    """Return the reach after some steps, from a value of this shape."""
    for step in steps:
        field = _advance(field, step, shape)
        shape = shape_after(step, shape)
    return field


def _advance(field: AxisReach, step: RelationStep, shape: tuple[int, ...]) -> AxisReach:
    match step:
        case Taps(axis, table):
            return _tap(field, axis, table)
        case Mix(axis, size, groups):
            return _mix(field, axis, size, groups, shape)
        case Permute(order):
            return _rename(field, lambda a: a.transpose(order), order.index)
        case Expand(new):
            added = len(new) - len(shape)
            return _rename(field, lambda a: a.reshape((1,) * added + a.shape), added.__add__) if added else field
        case Reshape(new):
            return _reshape(field, shape, new)
        case Concat():
            return union([(field, step)])


def _rename(field: AxisReach, change: Callable[[Positions], Positions], axis_of: Callable[[int], int]) -> AxisReach:
    """Move axes about: `change` on the arrays, `axis_of` on the axis numbers."""
    lattice = field.lattice and replace(field.lattice, axis=axis_of(field.lattice.axis))
    return AxisReach(
        _both(change, field.clipped),
        field.endless and _both(change, field.endless),
        lattice,
        frozenset(map(axis_of, field.along)),
        field.status,
        field.rising,
    )


def _both(change: Callable[[Positions], Positions], interval: IndexInterval) -> IndexInterval:
    lo, hi = interval
    return change(lo), change(hi)


# --- windows: convolution, pooling, resizing, slicing -------------------------------------------------------------


def _tap(field: AxisReach, axis: int, table: TapTable) -> AxisReach:
    if table.identity:
        return field
    # `rising` says nothing of other axes: over channels, any tap may hold the end. It lasts where the window's first
    # taps and last taps rise too (`ends`); along another axis only where no window is empty, for an empty interval is
    # above and below every other.
    rising = field.rising and axis in field.along and table.ends is not None
    clipped = _pick(field.clipped, axis, table, rising)
    endless, lattice = field.endless, field.lattice
    if endless is not None and lattice is not None:
        if lattice.axis == axis:
            endless, lattice = _pick_endless(endless, lattice, table, rising)
        else:
            endless = _pick(endless, axis, table, rising)
    if clipped is field.clipped and endless is field.endless:
        return field
    stays = rising or (field.rising and axis not in field.along and table.never_empty)
    return AxisReach(clipped, endless, lattice, field.along, field.status, stays)


def _pick(interval: IndexInterval, axis: int, table: TapTable, rising: bool) -> IndexInterval:
    """Return the first and last over the taps that lie inside."""
    lo, hi = interval
    if lo.shape[axis] == 1:
        if table.never_empty:
            return interval  # nothing varies along this axis: all taps read the same
        full = (*lo.shape[:axis], table.input_size, *lo.shape[axis + 1 :])
        lo, hi = np.broadcast_to(lo, full), np.broadcast_to(hi, full)
    if rising and table.ends is not None:
        return lo.take(table.ends[0], axis=axis), hi.take(table.ends[1], axis=axis)
    return _reduce(lo, hi, axis, table.clipped, None)


def _reduce(lo: Positions, hi: Positions, axis: int, index: Positions, shift: Positions | None) -> IndexInterval:
    """Take `index` (positions, taps) along the axis, one past the end being empty; min and max over the taps."""
    if axis != lo.ndim - 1:
        lo, hi = lo.swapaxes(axis, -1), hi.swapaxes(axis, -1)
    end = (*lo.shape[:-1], 1)
    lo = np.concatenate([lo, np.full(end, _EMPTY_LO)], axis=-1)[..., index]
    hi = np.concatenate([hi, np.full(end, _EMPTY_HI)], axis=-1)[..., index]
    if shift is not None:
        lo, hi = lo + shift, hi + shift
    lo, hi = lo.min(axis=-1), hi.max(axis=-1)
    return (lo.swapaxes(axis, -1), hi.swapaxes(axis, -1)) if axis != lo.ndim - 1 else (lo, hi)


def _pick_endless(
    interval: IndexInterval, lattice: Lattice, table: TapTable, rising: bool
) -> tuple[IndexInterval | None, Lattice | None]:
    """Return the same where taps may lie beyond the ends: there the field goes on along its lattice."""
    if table.pace is None or lattice.period > table.input_size:
        return None, None
    out_positions, in_positions = table.pace
    times = lattice.period // gcd(lattice.period, in_positions)
    onward = Lattice(lattice.axis, times * out_positions, lattice.advance * (times * in_positions // lattice.period))
    index, turns = _beyond(table, lattice.period)
    shift = turns * lattice.advance
    if rising and lattice.advance > 0 and table.ordered:
        lo, hi = interval
        ends = [1] * lo.ndim
        ends[lattice.axis] = -1
        first = lo.take(index[:, 0], axis=lattice.axis) + shift[:, 0].reshape(ends)
        return (first, hi.take(index[:, -1], axis=lattice.axis) + shift[:, -1].reshape(ends)), onward
    return _reduce(*interval, lattice.axis, index, shift), onward


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


# --- mixing and reshaping -----------------------------------------------------------------------------------------


def _mix(field: AxisReach, axis: int, size: int, groups: int, shape: tuple[int, ...]) -> AxisReach:
    carries = axis in field.along
    whole = carries and groups == 1
    along = field.along - {axis} if whole else field.along
    endless, lattice = field.endless, field.lattice
    if lattice is not None and lattice.axis == axis:
        endless = lattice = None
    status = max(field.status, ReachStatus.WHOLE_AXIS) if whole and not along else field.status

    def mixed(interval: IndexInterval) -> IndexInterval:
        lo, hi = interval
        if lo.shape[axis] == 1:
            return interval
        if groups == 1:
            return lo.min(axis=axis, keepdims=True), hi.max(axis=axis, keepdims=True)
        grouped = (*lo.shape[:axis], groups, lo.shape[axis] // groups, *lo.shape[axis + 1 :])
        lo, hi = lo.reshape(grouped).min(axis=axis + 1), hi.reshape(grouped).max(axis=axis + 1)
        return lo.repeat(size // groups, axis=axis), hi.repeat(size // groups, axis=axis)

    rising = field.rising and not carries
    return AxisReach(mixed(field.clipped), endless and mixed(endless), lattice, along, status, rising)


def _reshape(field: AxisReach, old: tuple[int, ...], new: tuple[int, ...]) -> AxisReach:
    blocks = reshape_blocks(old, new)
    along: set[int] = set()
    lattice, rising = field.lattice, field.rising
    for before, after in blocks:
        carrying = [axis for axis in before if axis in field.along]
        if carrying:
            wide = [axis for axis in after if new[axis] > 1]
            along.update(wide or after[:1])
            rising = rising and len(wide) <= 1 and sum(old[axis] > 1 for axis in before) <= 1
            if lattice is not None and lattice.axis in carrying:
                lattice = _relattice(lattice, old, before, new, after)
    lo, hi = field.clipped
    varying = [before for before, _ in blocks if any(lo.shape[axis] > 1 for axis in before)]
    if prod(prod(old[axis] for axis in before) for before in varying) > _SPREAD_LIMIT:
        hull = np.full((1,) * len(new), lo.min()), np.full((1,) * len(new), hi.max())
        return AxisReach(hull, None, None, frozenset(), max(field.status, ReachStatus.WHOLE_AXIS))
    endless = (
        None
        if field.endless is None or lattice is None
        else _both(lambda a: spread_reshape(a, old, new), field.endless)
    )
    clipped_pair = _both(lambda a: spread_reshape(a, old, new), field.clipped)
    return AxisReach(clipped_pair, endless, lattice, frozenset(along), field.status, rising)


def _relattice(
    lattice: Lattice, old: tuple[int, ...], before: range, new: tuple[int, ...], after: range
) -> Lattice | None:
    """Return the lattice after a block of axes is split or merged; it is kept only along the block's leading axis."""
    if any(old[axis] > 1 for axis in before if axis < lattice.axis) or not after:
        return None
    leading = next((axis for axis in after if new[axis] > 1), after[0])
    # Counted in elements of the flattened block, the lattice repeats every `elements`. One position of the new leading
    # axis holds `per_position` of them: the least number of positions that is whole repeats is the new period.
    elements = lattice.period * prod(old[axis] for axis in before if axis > lattice.axis)
    per_position = prod(new[axis] for axis in after if axis > leading)
    period = elements // gcd(elements, per_position)
    return Lattice(leading, period, lattice.advance * (period * per_position // elements))


# --- branches -----------------------------------------------------------------------------------------------------


def union(parts: Sequence[ReachPart]) -> AxisReach:
    """Return the union of the intervals of several branches; parts of a concatenation keep their positions."""
    first, place = parts[0]
    if len(parts) == 1 and place is None:
        return first
    status = max(field.status for field, _ in parts)
    along = frozenset[int]().union(*(field.along for field, _ in parts))
    lattice = _common_lattice([field.lattice for field, _ in parts], [place for _, place in parts])
    places = [place for _, place in parts]
    clipped = _join([field.clipped for field, _ in parts], places)
    endless = _join([field.endless for field, _ in parts if field.endless], places) if lattice else None
    rising = all(field.rising for field, _ in parts) and all(p is None or p.axis not in along for p in places)
    return AxisReach(clipped, endless, lattice, along, status, rising)


def _common_lattice(lattices: Sequence[Lattice | None], places: Sequence[Concat | None]) -> Lattice | None:
    """Return one lattice for all branches: the same pixels per position along the same axis, else none."""
    first = lattices[0]
    if first is None or any(place and place.axis == first.axis for place in places):
        return None
    # Branches of the same stride may repeat at other periods (2 pixels in 1 position, 4 in 2): the least common one
    # holds for all. Of different strides, the branches drift apart and the union has no period.
    period = first.period
    for other in lattices[1:]:
        if other is None or other.axis != first.axis or other.stride != first.stride:
            return None
        period = lcm(period, other.period)
    return Lattice(first.axis, period, first.advance * (period // first.period))


def _join(intervals: Sequence[IndexInterval], places: Sequence[Concat | None]) -> IndexInterval:
    lo, hi = intervals[0]
    placed = [(interval, place) for interval, place in zip(intervals, places, strict=True) if place is not None]
    if placed:
        lo, hi = _lay(placed)
        rest = [interval for interval, place in zip(intervals, places, strict=True) if place is None]
    else:
        rest = list(intervals[1:])
    for other_lo, other_hi in rest:
        if other_lo is not lo:
            lo = np.minimum(lo, other_lo)
        if other_hi is not hi:
            hi = np.maximum(hi, other_hi)
    return lo, hi


def _lay(placed: Sequence[tuple[IndexInterval, Concat]]) -> IndexInterval:
    """Lay the parts of a concatenation side by side; nothing is written out where all agree."""
    (lo, hi), place = placed[0]
    axis = place.axis
    uniform = all(i[0].shape[axis] == 1 for i, _ in placed) and _tiles(placed)
    if uniform and all(np.array_equal(i[0], lo) and np.array_equal(i[1], hi) for i, _ in placed[1:]):
        return lo, hi
    shape = list(np.broadcast_shapes(*((*i[0].shape[:axis], 1, *i[0].shape[axis + 1 :]) for i, _ in placed)))
    shape[axis] = place.size
    whole_lo, whole_hi = np.full(shape, _EMPTY_LO), np.full(shape, _EMPTY_HI)
    for (part_lo, part_hi), at in placed:
        here = (slice(None),) * axis + (slice(at.offset, at.offset + at.length),)
        whole_lo[here] = np.minimum(whole_lo[here], part_lo)
        whole_hi[here] = np.maximum(whole_hi[here], part_hi)
    return whole_lo, whole_hi


def _tiles(placed: Sequence[tuple[IndexInterval, Concat]]) -> bool:
    """Return whether the parts cover the whole axis."""
    return sum(place.length for _, place in placed) >= placed[0][1].size

"""Reshapes of a reach: parts are regrouped into other axes, and split where an axis ends inside one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from math import prod

import numpy as np

from convscope.geometry.relation import ReachStatus, reshape_blocks
from convscope.geometry.taps import Positions
from convscope.graph.layouts import both, distinct_rows, merged
from convscope.graph.reach import ArrayLayout, AxisReach, Lattice, value_shape

# A reshape that cuts across the parts of an axis writes them out; above this, only the hull of all is kept, as a bound.
_WRITTEN_OUT = 16_000_000


@dataclass(frozen=True, slots=True)
class _Piece:
    """One part of the new shape: a piece of an old part, or a new axis of size 1 (no part)."""

    size: int
    part: int | None = None
    piece: int = 0


@lru_cache(maxsize=2048)
def _pieces(
    parts: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[tuple[range, tuple[tuple[int, ...], ...] | None], ...]:
    """Return, for each block of a reshape, its parts and the pieces into which each of them is split.

    No pieces (None) where an axis begins inside a part at no whole multiple.
    """
    blocks = []
    for before, after in reshape_blocks(parts, shape):
        outer = [prod(parts[i : before.stop]) for i in before]
        ends = sorted({1, *outer, *(prod(shape[i : after.stop]) for i in after)}, reverse=True)
        ratios = [divmod(a, b) for a, b in pairwise(ends)]
        pieces = None
        if not any(rest for _, rest in ratios):
            starts = [
                (ends.index(n), ends.index(n // size))
                for n, size in zip(outer, (parts[i] for i in before), strict=True)
            ]
            pieces = tuple(tuple(ratio for ratio, _ in ratios[a:b]) or (1,) for a, b in starts)
        blocks.append((before, pieces))
    return tuple(blocks)


def reshaped(field: AxisReach, old: tuple[int, ...], new: tuple[int, ...]) -> AxisReach:
    """Return the reach of the same elements in another shape: parts are regrouped, and split where an axis needs it."""
    layout = field.layout or ArrayLayout.plain(old)
    blocks = _pieces(layout.parts, new)
    if any(pieces is None for _, pieces in blocks):
        merged = _cut_across(field, layout, blocks)
        if merged is None:
            ends = np.full((1,) * len(new), field.clipped[0].min()), np.full((1,) * len(new), field.clipped[1].max())
            return AxisReach(ends, None, None, frozenset(), max(field.status, ReachStatus.WHOLE_AXIS))
        field, layout = merged
        blocks = _pieces(layout.parts, new)
    pieces = [into for _, found in blocks for into in found or ()]
    field, entries, classes = _parted_classes(field, layout, pieces)
    carrying = field.along if field.lattice is None else field.along | {field.lattice.part}
    columns = [
        _Piece(size, part, i)
        for part, into in enumerate(pieces)
        for i, size in enumerate(into)
        if size > 1 or (part in carrying and max(into) == 1)
    ]
    groups = _in_groups(columns, new)
    flat = [column for group in groups for column in group]

    def change(array: Positions) -> Positions:
        return array.reshape(
            [1 if c.part is None or array.shape[c.part] == 1 else entries[c.part][c.piece] for c in flat]
        )

    number = {(c.part, c.piece): i for i, c in enumerate(flat)}
    along = frozenset(number[c.part, c.piece] for c in flat if c.part in field.along)
    split = any(sum(size > 1 for size in pieces[part]) > 1 for part in field.along)
    lattice = field.lattice and _first_piece(field.lattice, pieces[field.lattice.part], number)
    return AxisReach(
        both(change, field.clipped),
        both(change, field.endless) if field.endless and lattice else None,
        lattice,
        along,
        field.status,
        field.rising and not split,
        ArrayLayout(
            tuple(tuple(c.size for c in group) for group in groups),
            tuple(None if c.part is None else classes[c.part][c.piece] for c in flat),
        ).settled(),
        field.pairs,
    )


def _first_piece(
    lattice: Lattice, pieces: tuple[int, ...], number: Mapping[tuple[int | None, int], int]
) -> Lattice | None:
    """Return the lattice along the leading one of the pieces of its part."""
    leading = next((i for i, size in enumerate(pieces) if size > 1), 0)
    part = number.get((lattice.part, leading))
    return None if part is None else lattice.counted_in(inner=1, outer=prod(pieces[leading + 1 :]), part=part)


def _cut_across(
    field: AxisReach, layout: ArrayLayout, blocks: Sequence[tuple[range, tuple[tuple[int, ...], ...] | None]]
) -> tuple[AxisReach, ArrayLayout] | None:
    """Merge the parts of blocks whose axes begin inside a part; None where they would take too much memory."""
    parts = layout.parts
    groups: list[tuple[int, ...]] = []
    across = []
    for before, pieces in blocks:
        if pieces is None:
            across.append(len(groups))
            groups.append(tuple(parts[i] for i in before))
        else:
            groups += [(parts[i],) for i in before]
    if prod(prod(groups[i]) for i in across) > _WRITTEN_OUT:
        return None
    layout = ArrayLayout(tuple(groups), layout.classes)
    for i in across:
        field = replace(field, layout=layout)
        if len(layout.groups[i]) > 1:
            field = merged(field, layout, i, layout.parts_of(i))
            layout = field.layout or ArrayLayout.plain(value_shape(layout))
    return field, layout


def _parted_classes(
    field: AxisReach, layout: ArrayLayout, pieces: Sequence[tuple[int, ...]]
) -> tuple[AxisReach, list[tuple[int, ...]], list[tuple[Positions | None, ...]]]:
    """Return the reach with the classes of split parts laid out piece by piece, each part's entries, and classes."""
    entries: list[tuple[int, ...]] = []
    classes: list[tuple[Positions | None, ...]] = []
    for part, into in enumerate(pieces):
        index = layout.classes[part]
        if index is None or len(into) == 1:
            entries.append(into if index is None else (int(index.max()) + 1,))
            classes.append((index,) * len(into))
            continue
        grid = index.reshape(into)
        found = [distinct_rows(np.moveaxis(grid, i, 0).reshape(size, -1)) for i, size in enumerate(into)]
        kept = grid[np.ix_(*(first for first, _ in found))]

        def pick(array: Positions, part: int = part, kept: Positions = kept) -> Positions:
            return array if array.shape[part] == 1 else array.take(kept.reshape(-1), axis=part)

        field = replace(field, clipped=both(pick, field.clipped), endless=field.endless and both(pick, field.endless))
        entries.append(kept.shape)
        classes.append(
            tuple(None if first.size in (1, size) else which for (first, which), size in zip(found, into, strict=True))
        )
    return field, entries, classes


def _in_groups(columns: Sequence[_Piece], shape: tuple[int, ...]) -> list[list[_Piece]]:
    """Return the columns of each axis of a shape; an axis of size 1 without one gets a new one."""
    groups: list[list[_Piece]] = []
    i = 0
    for size in shape:
        group: list[_Piece] = []
        total = 1
        while total < size or (size == 1 and not group and i < len(columns) and columns[i].size == 1):
            group.append(columns[i])
            total, i = total * columns[i].size, i + 1
        if not groups and shape[1:2] != (1,):
            while i < len(columns) and columns[i].size == 1:  # one of several frames stays with the batch
                group.append(columns[i])
                i += 1
        groups.append(group or [_Piece(1)])
    if groups:
        groups[-1] += columns[i:]
    return groups

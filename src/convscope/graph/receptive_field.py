"""Receptive fields in the words of the literature: size, stride, start and centre."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from math import prod

import numpy as np

from convscope.geometry.relation import ReachStatus
from convscope.graph.layouts import one_part, written_out
from convscope.graph.propagate import Reaches, Source
from convscope.graph.reach import AxisReach
from convscope.graph.unclipped import Unclipped, unclipped
from convscope.report.short_repr import ShortRepr


@dataclass(frozen=True, slots=True, repr=False)
class ReceptiveField(ShortRepr):
    """The receptive field of a value along one axis of the input.

    Args:
        size: pixels from the first to the last that a position depends on, as if the image had no borders; the
            largest where positions or channels differ; None when unknown. Where "no borders" has no meaning
            (status other than exact, or no position's field ends inside the image) it is the largest field inside.
        stride: input pixels between the fields of neighbouring positions; None when it has no single value.
        start: first input pixel of position 0's field, negative in the padding; None when unknown.
        least: the smallest size of any position that depends on something, its channels taken together.
        sizes: the different sizes, ascending: phases of a transposed convolution, blocks of channels.
        status: exact, whole axis, data-dependent or unknown.
        endless: whether size and start are those without borders.
        axes: the value's axes that positions are laid out along: one in a map, two in windows that are cut out of one
            and in attention's scores of pairs, none once no position is left.
    """

    size: int | None
    least: int | None
    stride: Fraction | None
    start: int | None
    sizes: tuple[int, ...]
    status: ReachStatus
    endless: bool
    axes: tuple[int, ...] = field(compare=False)

    @property
    def centre(self) -> Fraction | None:
        """Centre of position 0's field, in input pixels, when all positions have the same size."""
        if self.start is None or len(self.sizes) != 1:
            return None
        return Fraction(2 * self.start + self.sizes[0] - 1, 2)


@dataclass(frozen=True, slots=True)
class ChannelBlock:
    """Neighbouring channels, `first` to `last` inclusive, whose fields are the same; `size` as in ReceptiveField."""

    first: int
    last: int
    size: int


UNKNOWN = ReceptiveField(None, None, None, None, (), ReachStatus.UNKNOWN, False, ())


def summarise(reach: AxisReach | None, beside: Collection[AxisReach] = ()) -> ReceptiveField | None:
    """Return size, stride and start of a value's field; None for a value that depends on no pixel of the source.

    Args:
        reach: the value's reach along one source axis.
        beside: its reach along all axes of that source, which tells positions from channels.
    """
    if reach is None:
        return None
    if reach.status is ReachStatus.UNKNOWN:
        return UNKNOWN
    lo, hi = reach.endless or reach.clipped
    endless, plain = reach.endless is not None, reach.layout is None
    axes = tuple(sorted(reach.along if plain else reach.axes_along))
    inside = _unclipped(reach, beside) if not endless and reach.status is ReachStatus.EXACT else None
    if inside is not None:
        size = inside.sizes[-1]
        return ReceptiveField(
            size, inside.least, inside.stride, inside.start, inside.sizes, reach.status, inside.endless, axes
        )
    stride = _stride(reach, beside)
    spans = hi - lo + 1
    if reach.rising and spans.min() == (size := int(spans.max())):
        # The common case: one size everywhere, nothing empty, so the first position starts first.
        return ReceptiveField(size, size, stride, int(lo.min()), (size,), reach.status, endless, axes)
    sizes = tuple(int(s) for s in np.unique(spans) if s > 0)
    if not sizes:
        return None
    least = sizes[0] if len(sizes) == 1 else _least(reach, beside)
    return ReceptiveField(sizes[-1], least, stride, _first_position(reach), sizes, reach.status, endless, axes)


def _stride(reach: AxisReach, beside: Collection[AxisReach]) -> Fraction | None:
    """Return the pixels per position of the axis with the lattice."""
    if reach.lattice is None:
        return None
    stride = reach.lattice.stride if reach.lattice.advance >= 0 else -reach.lattice.stride
    if reach.layout is None:
        return stride
    within = _positions_within(reach, beside, reach.lattice.part)
    return within and stride / prod(within)


def _unclipped(reach: AxisReach, beside: Collection[AxisReach]) -> Unclipped | None:
    """Return the field of positions that no border cuts; without a stride where positions lie along several axes."""
    along = tuple(sorted(reach.along))
    if len(reach.axes_along) != 1:
        return None
    for part in along:
        reach = written_out(reach, part)
    found = unclipped(reach.clipped, along, _channels(reach, beside))
    if found is None or found.stride is None:
        return found
    within = _positions_within(reach, beside, along[0])
    if within is None:
        return replace(found, stride=None, start=None)
    return replace(found, stride=found.stride / within[1])


def _positions_within(reach: AxisReach, beside: Collection[AxisReach], part: int) -> tuple[int, int] | None:
    """Return how many positions of its axis lie within one position of a part: those of the source, times others.

    None where the axis holds channels with the positions, as that of a flattened map does; not tokens.
    """
    layout = reach.layout
    if layout is None:
        return 1, 1
    axis, sizes = layout.axis_of(part), layout.parts
    parts = layout.parts_of(axis)
    here = [one for one in beside or (reach,) if axis in one.axes_along]
    held = prod(sizes[p] for one in here if one.layout for p in parts if p in one.along)
    inner = [p for p in parts if p > part]
    own = prod(sizes[p] for p in inner if p in reach.along)
    if held >= prod(sizes[p] for p in parts):
        return own, 1
    # Channels that became positions between positions, as in a pixel shuffle.
    leading = all(sizes[p] == 1 for p in parts if p < part)
    shuffled = leading and len(here) == 1 and len(layout.groups) >= 2 + len(beside)
    return (own, prod(sizes[p] for p in inner) // own) if shuffled else None


def summarise_all(reaches: Reaches) -> list[dict[Source, ReceptiveField]]:
    """Return the receptive fields of every value, by value and source axis; values that depend on no pixel have none.

    Activations and normalisations pass their input's field on unchanged, so most are computed once and shared.
    """
    known: dict[int, ReceptiveField | None] = {}
    fields: list[dict[Source, ReceptiveField]] = []
    for value in reaches.graph.values:
        found: dict[Source, ReceptiveField] = {}
        axes = reaches.axes_of(value.index)
        for source, reach in axes.items():
            if id(reach) not in known:
                plain = reach.rising and reach.layout is None
                beside = () if plain else [r for (v, _), r in axes.items() if v == source[0]]
                known[id(reach)] = summarise(reach, beside)
            field = known[id(reach)]
            if field is not None:
                found[source] = field
        fields.append(found)
    return fields


def _channels(reach: AxisReach, beside: Collection[AxisReach]) -> tuple[int, ...]:
    """Return the parts of a reach's arrays on axes that hold no positions, of this source axis or another."""
    layout, axes = reach.layout, reach.axes_along.union(*(one.axes_along for one in beside))
    parts = range(reach.clipped[0].ndim)
    return tuple(part for part in parts if (layout.axis_of(part) if layout else part) not in axes)


def _least(reach: AxisReach, beside: Collection[AxisReach]) -> int:
    """Return the smallest size of a position that reads anything, over all channels of it."""
    lo, hi = reach.endless or reach.clipped
    channels = _channels(reach, beside)
    spans = hi.max(axis=channels) - lo.min(axis=channels) + 1
    return int(spans[spans > 0].min())


def _first_position(reach: AxisReach) -> int | None:
    """Return the start of the first position that reads anything."""
    lo, hi = reach.endless or reach.clipped
    for part in sorted(reach.along):
        other = tuple(a for a in range(lo.ndim) if a != part)
        reads = (lo <= hi).any(axis=other)
        if reads.size > 1:  # classes are numbered in the order in which they occur
            lo, hi = (np.take(a, [int(reads.argmax())], axis=part) for a in (lo, hi))
    starts = lo[lo <= hi]
    return int(starts.min()) if starts.size else None


def field_at(reach: AxisReach, position: tuple[int, ...], *, endless: bool = False) -> tuple[int, int] | None:
    """Return the first and last source position that a position of the value depends on, or None if there is none.

    Args:
        reach: the value's reach along one source axis.
        position: index into the value, one number per axis, batch and channel included.
        endless: as if the source had no ends, where that has a meaning.
    """
    if reach.status is ReachStatus.UNKNOWN:
        return None
    lo, hi = reach.endless if endless and reach.endless is not None else reach.clipped
    if reach.layout is not None:
        position = reach.layout.entry(position)
    at = tuple(0 if size == 1 else p for p, size in zip(position, lo.shape, strict=True))
    first, last = int(lo[at]), int(hi[at])
    return (first, last) if first <= last else None


def channel_blocks(reach: AxisReach, channels: int, *, axis: int = 1) -> tuple[ChannelBlock, ...]:
    """Return runs of channels with the same field, such as the branches of an Inception block.

    Args:
        reach: the value's reach along one source axis.
        channels: channels of the value.
        axis: the value's channel axis.
    """
    if reach.status is ReachStatus.UNKNOWN:
        return ()
    reach, axis = one_part(reach, axis)
    reach = written_out(reach, axis)
    lo, hi = reach.endless or reach.clipped
    if lo.shape[axis] == 1:
        sizes = (hi - lo + 1).max()
        return (ChannelBlock(0, channels - 1, int(max(0, sizes))),)
    pair = np.stack([np.moveaxis(lo, axis, 0).reshape(channels, -1), np.moveaxis(hi, axis, 0).reshape(channels, -1)], 1)
    changes = np.flatnonzero((pair[1:] != pair[:-1]).any(axis=(1, 2))) + 1
    bounds = [0, *changes.tolist(), channels]
    widest = (pair[:, 1] - pair[:, 0] + 1).max(axis=1)
    return tuple(ChannelBlock(first, stop - 1, int(max(0, widest[first]))) for first, stop in pairwise(bounds))

"""The reach of a value: first and last source position of each of its positions, written out only where they vary.

The arrays of an `AxisReach` have size 1 along every axis where nothing varies. An `ArrayLayout` says where they differ
in more than that from the axes of the value:

- an axis that was merged from several keeps its *parts*: 16,384 tokens that were an image of 128 by 128 are two parts,
  and rows that vary along the first of them take 128 numbers. Parted again, the axis is what it was;
- along a part, many positions may share few *classes*: the channels of four branches are four, the columns of a padded
  map two, one of them empty.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd, prod

import numpy as np

from convscope.geometry.relation import ReachStatus
from convscope.geometry.taps import Positions

# An empty interval has lo > hi; these survive every min and max.
EMPTY_LO = np.int64(1 << 60)
EMPTY_HI = np.int64(-(1 << 60))

IndexInterval = tuple[Positions, Positions]


@dataclass(frozen=True, slots=True)
class Lattice:
    """The periodicity of an endless field along a part: every `period` positions it moves by `advance` pixels.

    Endless intervals are kept for the positions of the map alone. A tap beyond its ends (in the padding) reads the
    interval of the position that lies whole periods further in, moved by as many times `advance`.
    """

    part: int
    period: int
    advance: int

    @property
    def stride(self) -> Fraction:
        """Return the input pixels per position."""
        return Fraction(self.advance, self.period)

    def counted_in(self, *, inner: int, outer: int, part: int) -> Lattice:
        """Return the lattice along another part, whose positions hold `outer` elements where this one's hold `inner`.

        >>> Lattice(part=2, period=1, advance=1).counted_in(inner=1, outer=2, part=2)  # every second pixel
        Lattice(part=2, period=1, advance=2)
        """
        elements = self.period * inner
        period = elements // gcd(elements, outer)
        return Lattice(part, period, self.advance * (period * outer // elements))


@dataclass(frozen=True, eq=False, slots=True)
class ArrayLayout:
    """How arrays stand for the axes of a value.

    Args:
        groups: for each axis of the value, the sizes of the parts that make it up, in row-major order.
        classes: for each part, the class of each of its positions, an index into the arrays; None where the arrays
            have one entry per position, or one for all of them.
    """

    groups: tuple[tuple[int, ...], ...]
    classes: tuple[Positions | None, ...]

    @classmethod
    def plain(cls, shape: tuple[int, ...]) -> ArrayLayout:
        """Return the layout in which each axis is one part."""
        return cls(tuple((size,) for size in shape), (None,) * len(shape))

    @property
    def parts(self) -> tuple[int, ...]:
        """Sizes of all parts, in order."""
        return tuple(size for group in self.groups for size in group)

    def parts_of(self, axis: int) -> range:
        """Return the parts of an axis of the value."""
        start = sum(map(len, self.groups[:axis]))
        return range(start, start + len(self.groups[axis]))

    def axis_of(self, part: int) -> int:
        """Return the axis of the value that a part belongs to."""
        return next(axis for axis in range(len(self.groups)) if part in self.parts_of(axis))

    def settled(self) -> ArrayLayout | None:
        """Return the layout, or None where the arrays' axes are the value's."""
        plain = all(len(group) == 1 for group in self.groups) and all(index is None for index in self.classes)
        return None if plain else self

    def entry(self, position: tuple[int, ...]) -> tuple[int, ...]:
        """Return where the arrays, if all varied, hold a position of the value."""
        places: list[int] = []
        for at, group in zip(position, self.groups, strict=True):
            places += map(int, np.unravel_index(at, group))
        return tuple(at if index is None else int(index[at]) for at, index in zip(places, self.classes, strict=True))


@dataclass(frozen=True, eq=False, slots=True)
class AxisReach:
    """What the positions of one value depend on, along one axis of one source.

    Args:
        clipped: first and last source position (arrays), inside the source; first > last where there is none.
        endless: the same as if the source had no ends; None where that has no meaning.
        lattice: how `endless` goes on; None with it.
        along: the parts that the source's positions are laid out along; none once the axis has been mixed away.
        status: how far the answer can be trusted.
        rising: no interval is empty, and neither end ever falls along a part of `along`: then the ends of a window are
            the ends of its first and its last tap, and two lookups do where a minimum over all taps would be needed.
        layout: which positions the arrays' entries stand for; None where their axes are the value's.
        pairs: a position stands for several of one map, each along parts of its own, as attention's scores do.
    """

    clipped: IndexInterval
    endless: IndexInterval | None
    lattice: Lattice | None
    along: frozenset[int]
    status: ReachStatus
    rising: bool = False
    layout: ArrayLayout | None = None
    pairs: bool = False

    def varies(self, part: int) -> bool:
        """Return whether the arrays have more than one entry along a part."""
        return self.clipped[0].shape[part] > 1 or (self.endless is not None and self.endless[0].shape[part] > 1)

    @property
    def axes_along(self) -> frozenset[int]:
        """The value's axes that the source's positions are laid out along."""
        return self.along if self.layout is None else frozenset(map(self.layout.axis_of, self.along))

    def without_lattice(self) -> AxisReach:
        """Return the reach inside the source alone."""
        return self if self.lattice is None else replace(self, endless=None, lattice=None)

    def without_lattice_along(self, axis: int) -> AxisReach:
        """Return the reach inside the source alone, where its lattice is along an axis of the value."""
        lattice, layout = self.lattice, self.layout
        along = lattice is not None and (layout.axis_of(lattice.part) if layout else lattice.part) == axis
        return self.without_lattice() if along else self


def nothing(rank: int, status: ReachStatus) -> AxisReach:
    """Return the reach of a value of this rank that reads nothing, or of which nothing is known."""
    empty = (np.full((1,) * rank, EMPTY_LO), np.full((1,) * rank, EMPTY_HI))
    return AxisReach(empty, None, None, frozenset(), status)


def itself(shape: tuple[int, ...], axis: int) -> AxisReach:
    """Return the reach of a source along one of its own axes: every position is itself."""
    positions = np.arange(shape[axis]).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    interval = (positions, positions)
    return AxisReach(interval, interval, Lattice(axis, 1, 1), frozenset({axis}), ReachStatus.EXACT, rising=True)


def value_shape(layout: ArrayLayout) -> tuple[int, ...]:
    """Return the shape of the value."""
    return tuple(prod(group) for group in layout.groups)

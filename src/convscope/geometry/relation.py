"""Relations: how the positions of one tensor depend on the positions of another.

A relation is a short list of steps, each a fact about shapes alone. The same steps are read in two directions:
forward, to carry receptive fields down a network (`graph.propagate`), and backward, to find which pixels one cell
depends on (`graph.field`). Composition of layers is concatenation of steps; branches are a union.

Axes are counted in the tensor as it is at that step, batch included, so channels are axis 1 of (N, C, H, W).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from convscope.geometry.taps import TapTable


class Status(IntEnum):
    """How far an answer about reach can be trusted; a path is as good as its worst step."""

    EXACT = 0  # position by position
    WHOLE_AXIS = 1  # every position depends on the whole axis, by the operation's definition
    DATA_DEPENDENT = 2  # which positions are read is decided by values: the whole axis, as a bound
    UNKNOWN = 3  # an operation that we do not know: no answer

    @property
    def label(self) -> str:
        """The status in words: "exact", "whole axis", "data-dependent", "unknown"."""
        return ("exact", "whole axis", "data-dependent", "unknown")[self.value]


@dataclass(frozen=True, slots=True, eq=False)
class Taps:
    """Along `axis`, position `u` reads the positions of row `u` of the table."""

    axis: int
    table: TapTable


@dataclass(frozen=True, slots=True)
class Mix:
    """Along `axis`, every position reads every position of its group; the axis gets `size` positions."""

    axis: int
    size: int
    groups: int = 1


@dataclass(frozen=True, slots=True)
class Permute:
    """Axis `i` of the result is axis `order[i]` of the source."""

    order: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reshape:
    """The same elements, in the same row-major order, in another shape."""

    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Expand:
    """Broadcasting to `shape`: new axes in front, and axes of size 1 repeated."""

    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Along `axis`, the source lies at `offset` in an axis of `size`: one part of a concatenation."""

    axis: int
    offset: int
    size: int


Step = Taps | Mix | Permute | Reshape | Expand | Place

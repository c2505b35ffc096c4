"""Relations: how the positions of one tensor depend on the positions of another.

A relation is a short list of steps, each a fact about shapes alone. The same steps are read in two directions:
forward, to carry receptive fields down a network (`graph.propagate`), and backward, to find which pixels one cell
depends on (`graph.reach_walk`). Composition of layers is concatenation of steps; branches are a union.

Axes are counted in the tensor as it is at that step, batch included, so channels are axis 1 of (N, C, H, W).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from math import prod
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from convscope.geometry.taps import TapTable

Number = TypeVar("Number", bound=np.generic)


class ReachStatus(IntEnum):
    """The reliability of a receptive field; a path has the status of its worst step."""

    EXACT = 0  # position by position
    WHOLE_AXIS = 1  # every position depends on the whole axis, by the operation's definition
    DATA_DEPENDENT = 2  # which positions are read is decided by values: the whole axis, as a bound
    UNKNOWN = 3  # an operation without a rule

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
class Concat:
    """Along `axis`, the source's `length` positions lie at `offset` in an axis of `size`: a part of a concatenation."""

    axis: int
    offset: int
    length: int
    size: int


RelationStep = Taps | Mix | Permute | Reshape | Expand | Concat


def shape_after(step: RelationStep, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that a step makes of a shape.

    >>> shape_after(Mix(axis=1, size=64), (1, 3, 224, 224))
    (1, 64, 224, 224)
    >>> shape_after(Permute((0, 2, 3, 1)), (1, 3, 8, 9))
    (1, 8, 9, 3)
    """
    match step:
        case Permute(order):
            return tuple(shape[axis] for axis in order)
        case Reshape(new) | Expand(new):
            return new
        case Taps(axis, table):
            size = table.output_size
        case Mix(axis, size) | Concat(axis, _, _, size):
            pass
    return (*shape[:axis], size, *shape[axis + 1 :])


@lru_cache(maxsize=1024)
def reshape_blocks(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[tuple[range, range], ...]:
    """Return the smallest runs of axes that a reshape turns into each other: (axes of old, axes of new).

    Flattening channels and pixels is one block of three axes; the batch is a block of its own.

    >>> reshape_blocks((8, 16, 5, 5), (8, 400))
    ((range(0, 1), range(0, 1)), (range(1, 4), range(1, 2)))
    """
    if prod(old) != prod(new):
        raise AssertionError(f"a reshape keeps the number of elements: {old} to {new}")
    if 0 in old:
        return ((range(len(old)), range(len(new))),)
    blocks: list[tuple[range, range]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        start_i, start_j = i, j
        left = right = 1
        if i < len(old):
            left, i = old[i], i + 1
        if j < len(new):
            right, j = new[j], j + 1
        while left != right:
            if left < right:
                left, i = left * old[i], i + 1
            else:
                right, j = right * new[j], j + 1
        # Axes of size 1 that follow belong to the next block, or to the last one if there is none.
        if i == len(old) and j < len(new) and prod(new[j:]) == 1:
            j = len(new)
        if j == len(new) and i < len(old) and prod(old[i:]) == 1:
            i = len(old)
        blocks.append((range(start_i, i), range(start_j, j)))
    return tuple(blocks)


def spread_reshape(array: npt.NDArray[Number], old: tuple[int, ...], new: tuple[int, ...]) -> npt.NDArray[Number]:
    """Reshape an array that stands for shape `old`, with size 1 along axes where nothing varies, to shape `new`.

    Only blocks of axes in which something varies are written out.

    >>> spread_reshape(np.arange(3).reshape(1, 3, 1), (2, 3, 4), (2, 12)).shape
    (1, 12)
    >>> spread_reshape(np.ones((1, 1, 4)), (2, 3, 4), (6, 4)).shape
    (1, 4)
    """
    full, target = list(array.shape), list[int]()
    for before, after in reshape_blocks(old, new):
        if all(array.shape[axis] == 1 for axis in before):
            target += [1] * len(after)
        else:
            for axis in before:
                full[axis] = old[axis]
            target += [new[axis] for axis in after]
    return np.broadcast_to(array, full).reshape(target)

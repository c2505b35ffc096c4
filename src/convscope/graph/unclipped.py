"""Fields without borders where an operation has none to go on beyond: from the positions whose fields end at no border.

A roll, a resize whose corners are aligned, windows that are moved and put back: beyond the image's ends these say
nothing, so their fields are known inside the image alone. Away from the ends that is no loss. A field that begins after
the first pixel that any position reads, and ends before the last, was cut by no border; one that touches both ends may
be a window that wraps around, or larger than the image, and says nothing where every channel has others.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from convscope.geometry.taps import Positions
from convscope.graph.reach import IndexInterval

_LONGEST_PERIOD = 64

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Unclipped:
    """What fields are as if the image had no borders; arguments as of `receptive_field.ReceptiveField`.

    `endless` is false where most of them end at a border: then a border may have cut them.
    """

    sizes: tuple[int, ...]
    least: int
    stride: Fraction | None
    start: int | None
    endless: bool


def unclipped(interval: IndexInterval, along: tuple[int, ...], channels: tuple[int, ...]) -> Unclipped | None:
    """Return the field of positions that no border cuts, or None if some channel has none of these.

    Args:
        interval: first and last pixel, by position.
        along: the arrays' axes that positions are laid out along, in order.
        channels: the arrays' axes that are no positions of this source or of another.
    """
    lo, hi = np.broadcast_arrays(*interval)
    reads = lo <= hi
    apart, partial = _apart(lo, hi)
    if not partial.any() or partial.any(axis=along).sum() < reads.any(axis=along).sum():
        return None
    endless = 2 * int(apart.sum()) >= int(partial.sum())
    sizes = hi - lo + 1
    # A field that one border cuts is at least so large.
    kept = apart | (partial & (sizes > sizes[apart].max())) if endless else partial
    lo, hi = lo.min(axis=channels, keepdims=True), hi.max(axis=channels, keepdims=True)
    together = _apart(lo, hi)[0 if endless else 1]
    least = int((hi - lo + 1)[together].min()) if together.any() else int(sizes[kept].min())
    stride, start = _spacing(lo, hi, together, along)
    found = tuple(int(size) for size in np.unique(sizes[kept]))
    return Unclipped(found, min(least, found[-1]), stride, start if len(found) == 1 else None, endless)


def _apart(lo: Positions, hi: Positions) -> tuple[Flags, Flags]:
    """Return which intervals lie between the ends of all, and which are not from end to end; none of them is empty."""
    reads = lo <= hi
    if not reads.any():
        return reads, reads
    first, last = lo[reads].min(), hi[reads].max()
    return reads & (lo > first) & (hi < last), reads & ~((lo == first) & (hi == last))


def _spacing(lo: Positions, hi: Positions, apart: Flags, along: tuple[int, ...]) -> tuple[Fraction | None, int | None]:
    """Return the pixels per position, and where position 0 would begin: neither where neighbours differ in them."""
    first, last, inside = _rows(lo, along), _rows(hi, along), _rows(apart, along)
    row = int(inside.sum(axis=1).argmax())
    fullest = slice(row, row + 1)
    for period in range(1, min(_LONGEST_PERIOD, first.shape[1] - 1) + 1):
        pairs = inside[:, period:] & inside[:, :-period]
        if pairs.sum() < period:
            break
        # One row tells most periods apart already, and there may be thousands.
        steps = _steps(first[fullest], last[fullest], pairs[fullest], period)
        if steps.size and (steps != steps[0]).any():
            continue
        steps = _steps(first, last, pairs, period)
        if steps[0] and (steps == steps[0]).all():
            row, place = (int(i) for i in np.argwhere(inside)[0])
            start = int(first[row, place]) - int(steps[0]) * place if period == 1 else None
            return abs(Fraction(int(steps[0]), period)), start
    return None, None


def _steps(first: Positions, last: Positions, pairs: Flags, period: int) -> Positions:
    """Return by how many pixels the fields of `pairs` of positions differ that lie a period apart."""
    return np.concatenate([(ends[:, period:] - ends[:, :-period])[pairs] for ends in (first, last)])


def _rows(array: npt.NDArray[Any], along: tuple[int, ...]) -> npt.NDArray[Any]:
    other = [axis for axis in range(array.ndim) if axis not in along]
    count = int(np.prod([array.shape[axis] for axis in along], dtype=np.int64))
    return np.moveaxis(array, other, range(len(other))).reshape(-1, count)

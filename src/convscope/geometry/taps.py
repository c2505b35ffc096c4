"""Taps: for each output position along one axis, the input positions that it reads.

A tap table is an integer array of shape (output_size, taps). An entry in `[0, input_size)` is an input position; an
entry outside is padding, kept as a coordinate because the unclipped receptive field needs it; `NO_TAP` fills rows
that have fewer taps than others.

Tables are cached and read-only: a deep network repeats the same few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from convscope.geometry.convolution import TransposedWindow
from convscope.geometry.pooling import adaptive_ranges
from convscope.geometry.window import Window

Positions = npt.NDArray[np.int64]

NO_TAP = int(np.iinfo(np.int64).min)


@dataclass(frozen=True, eq=False)
class TapTable:
    """The input positions that each output position reads, along one axis.

    Args:
        positions: int64 array of shape (output_size, taps).
        input_size: positions of the axis that is read.
        pace: (output positions, input positions) after which the table repeats itself further along the axis, as if
            the axis had no ends: (1, 2) for stride 2, (2, 1) for a transposed stride of 2; None when it does not.
        endless: the positions as they would be if the axis had no ends, where `positions` reflects or repeats them.
    """

    positions: Positions
    input_size: int
    pace: tuple[int, int] | None = None
    endless: Positions | None = None

    @property
    def output_size(self) -> int:
        """Positions of the axis that is written."""
        return int(self.positions.shape[0])

    @cached_property
    def inside(self) -> npt.NDArray[np.bool_]:
        """True for entries that are input positions, not padding or empty."""
        return (self.positions >= 0) & (self.positions < self.input_size)

    @cached_property
    def clipped(self) -> Positions:
        """The positions with `input_size`, one past the end, for every entry that is not an input position."""
        return np.where(self.inside, self.positions, self.input_size)

    @cached_property
    def columns(self) -> tuple[tuple[Positions, bool], ...]:
        """`clipped` tap by tap, and whether that tap falls on a different input position everywhere."""
        columns = []
        for column in np.ascontiguousarray(self.clipped.T):
            inside = column[column < self.input_size]
            columns.append((column, np.unique(inside).size == inside.size))
        return tuple(columns)

    @cached_property
    def taps_per_row(self) -> npt.NDArray[np.float64]:
        """The number of taps of each output position, padding included, empty entries not."""
        return np.asarray(np.sum(self.positions != NO_TAP, axis=1), dtype=np.float64)

    @cached_property
    def identity(self) -> bool:
        """Whether every position reads itself alone."""
        return self.positions.shape == (self.input_size, 1) and bool(
            (self.positions[:, 0] == np.arange(self.input_size)).all()
        )

    @cached_property
    def never_empty(self) -> bool:
        """Whether every output position reads at least one input position."""
        return bool(self.inside.any(axis=1).all())

    @cached_property
    def ends(self) -> tuple[Positions, Positions] | None:
        """First and last input position of each row, when neither ever falls along the axis and no row is empty.

        >>> first, last = window_taps(Window.of(3, padding=1), 4).ends
        >>> first.tolist(), last.tolist()
        ([0, 0, 1, 2], [1, 2, 3, 3])
        """
        if not self.never_empty:
            return None
        first = np.where(self.inside, self.positions, self.input_size).min(axis=1)
        last = np.where(self.inside, self.positions, -1).max(axis=1)
        return (first, last) if (np.diff(first) >= 0).all() and (np.diff(last) >= 0).all() else None

    @cached_property
    def ordered(self) -> bool:
        """Whether every row has all its taps, in rising order, as those of a window are."""
        raw = self.positions if self.endless is None else self.endless
        return bool((raw != NO_TAP).all() and (np.diff(raw, axis=1) > 0).all() and (np.diff(raw, axis=0) >= 0).all())

    def never_read(self) -> list[int]:
        """Return the input positions that no output position reads.

        >>> window_taps(Window(kernel_size=1, stride=2), 5).never_read()
        [1, 3]
        """
        read = np.zeros(self.input_size + 1, dtype=bool)
        read[self.clipped] = True
        return [int(i) for i in np.flatnonzero(~read[:-1])]


def _table(
    positions: Positions, input_size: int, pace: tuple[int, int] | None = None, endless: Positions | None = None
) -> TapTable:
    positions = np.ascontiguousarray(positions, dtype=np.int64)
    positions.setflags(write=False)
    return TapTable(positions, input_size, pace, endless)


@lru_cache(maxsize=4096)
def window_taps(window: Window, input_size: int) -> TapTable:
    """Return the taps of a convolution or pooling: `u · stride − padding + t · dilation`.

    >>> window_taps(Window(kernel_size=3, padding_before=1, padding_after=1), 3).positions.tolist()
    [[-1, 0, 1], [0, 1, 2], [1, 2, 3]]
    """
    u = np.arange(window.output_size(input_size))[:, None]
    t = np.arange(window.kernel_size)[None, :]
    return _table(u * window.stride - window.padding_before + t * window.dilation, input_size, (1, window.stride))


@lru_cache(maxsize=1024)
def transposed_taps(window: TransposedWindow, input_size: int) -> TapTable:
    """Return the taps of a transposed convolution: every `i` with `u = i · stride − padding + t · dilation`.

    A row can be empty: such an output is the bias alone.

    >>> taps = transposed_taps(TransposedWindow(window=Window(kernel_size=3, stride=2)), 2)
    >>> [[int(i) for i in row if 0 <= i < 2] for row in taps.positions]
    [[0], [0], [1, 0], [1], [1]]
    """
    w = window.window
    u = np.arange(window.output_size(input_size))[:, None]
    t = np.arange(w.kernel_size)[None, :]
    offset = u + w.padding_before - t * w.dilation
    return _table(np.where(offset % w.stride == 0, offset // w.stride, NO_TAP), input_size, (w.stride, 1))


def ragged_taps(rows: Sequence[Sequence[int]], input_size: int, pace: tuple[int, int] | None = None) -> TapTable:
    """Return the taps from one list of positions per output position; lists may differ in length.

    >>> ragged_taps([[0], [0, 1]], 2).inside.sum(axis=1).tolist()
    [1, 2]
    """
    longest = max((len(row) for row in rows), default=0)
    positions = np.full((len(rows), longest), NO_TAP, dtype=np.int64)
    for u, row in enumerate(rows):
        positions[u, : len(row)] = row
    return _table(positions, input_size, pace)


@lru_cache(maxsize=1024)
def adaptive_taps(input_size: int, output_size: int) -> TapTable:
    """Return the taps of adaptive pooling, whose windows differ in length.

    >>> [len([i for i in row if i >= 0]) for row in adaptive_taps(32, 3).positions]
    [11, 12, 11]
    """
    pace = (1, input_size // output_size) if output_size and input_size % output_size == 0 else None
    return ragged_taps([range(*ends) for ends in adaptive_ranges(input_size, output_size)], input_size, pace)


@lru_cache(maxsize=1024)
def slice_taps(start: int, step: int, length: int, input_size: int) -> TapTable:
    """Return the taps of `x[start : start + step * length : step]`; a negative step is a flip.

    >>> slice_taps(4, -1, 5, 5).positions.ravel().tolist()
    [4, 3, 2, 1, 0]
    """
    return _table((start + step * np.arange(length))[:, None], input_size, (1, step))


@lru_cache(maxsize=256)
def roll_taps(shift: int, input_size: int) -> TapTable:
    """Return the taps of `torch.roll` by `shift` along the axis.

    >>> roll_taps(1, 4).positions.ravel().tolist()
    [3, 0, 1, 2]
    """
    return _table(((np.arange(input_size) - shift) % input_size)[:, None], input_size)


PadMode = Literal["constant", "reflect", "replicate", "circular"]


@lru_cache(maxsize=1024)
def pad_taps(before: int, after: int, mode: PadMode, input_size: int) -> TapTable:
    """Return the taps of padding on its own; negative amounts crop, as in PyTorch.

    >>> pad_taps(2, 1, "reflect", 4).positions.ravel().tolist()
    [2, 1, 0, 1, 2, 3, 2]
    >>> pad_taps(2, 1, "replicate", 4).positions.ravel().tolist()
    [0, 0, 0, 1, 2, 3, 3]
    """
    endless = np.arange(-before, input_size + after)[:, None]
    if mode == "constant":
        return _table(endless, input_size, (1, 1))
    if mode == "reflect":
        period = max(1, 2 * (input_size - 1))
        folded = np.abs((endless + input_size - 1) % period - (input_size - 1))
    elif mode == "replicate":
        folded = np.clip(endless, 0, input_size - 1)
    else:
        folded = endless % input_size
    return _table(folded, input_size, (1, 1), endless)


def listed_taps(positions: Positions, input_size: int, pace: tuple[int, int] | None = None) -> TapTable:
    """Return the taps written out: an array of shape (output_size, taps), for an index that is known."""
    return _table(positions if positions.ndim == 2 else positions[:, None], input_size, pace)

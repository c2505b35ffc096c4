"""The columns matrix: what makes a convolution a matrix product, forward and both ways back.

Lay the numbers under each place of the window in a row: the rows are the *columns matrix*
`(places, taps · channels)`, one for each group. Every array here is channels-last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from convscope.arrays import Array
from convscope.errors import GeometryError
from convscope.geometry.window import Window
from convscope.reference.sliding import blocks, tap_slices, window_view

ColumnSlices = tuple[slice, slice, slice]  # of (groups, N, first spatial axis)


@dataclass(frozen=True)
class ColumnPlan:
    """The windows of one convolution with the sizes that they make; every array in it is channels-last."""

    windows: tuple[Window, ...]
    outputs: tuple[int, ...]
    groups: int

    @property
    def taps(self) -> int:
        """Numbers of one channel under a window."""
        return prod(w.kernel_size for w in self.windows)

    def kernel_matrix(self, weight: Array) -> Array:
        """Return `(C_out, C_in / groups, *kernel)` as `(groups, taps · C_in / groups, C_out / groups)`."""
        by_group = weight.reshape(self.groups, weight.shape[0] // self.groups, weight.shape[1], self.taps)
        matrices = np.ascontiguousarray(by_group.transpose(0, 3, 2, 1))
        return matrices.reshape(self.groups, self.taps * weight.shape[1], -1)

    def columns(self, padded: Array) -> Iterator[tuple[ColumnSlices, Array]]:
        """Yield the blocks of the columns matrix `(groups, places, taps · C_in / groups)` with their places.

        Every block is written over the one before: a copy into memory that is already in the cache.
        """
        view = split_groups(window_view(padded, self.windows, self.outputs), self.groups)
        memory = np.empty(0, dtype=padded.dtype)
        for places in self._blocks(padded):
            block = view[places]
            memory = workspace(memory, block.shape)
            np.copyto(memory, block)
            yield places, memory.reshape(self.groups, -1, self.taps * block.shape[-1])

    def _blocks(self, padded: Array) -> Iterator[ColumnSlices]:
        """Yield indices into `(groups, N, *outputs, ...)` of pieces whose columns fit into the CPU cache."""
        window_bytes = self.taps * padded.shape[-1] * padded.itemsize
        for samples, rows in blocks(padded.shape[0], self.outputs, window_bytes):
            yield slice(None), samples, rows

    def weight_gradient(self, padded: Array, grad: Array, weight: Array) -> Array:
        """Return `columnsᵀ @ grad`, in the weight's own shape."""
        total = np.zeros(self.kernel_matrix(weight).shape, dtype=np.result_type(padded, grad))
        by_group = split_groups(grad, self.groups)
        for places, columns in self.columns(padded):
            block = by_group[places]
            total += columns.transpose(0, 2, 1) @ block.reshape(self.groups, -1, block.shape[-1])
        by_tap = total.reshape(self.groups, self.taps, weight.shape[1], weight.shape[0] // self.groups)
        return np.ascontiguousarray(by_tap.transpose(0, 3, 2, 1)).reshape(weight.shape)

    def scatter(self, grad: Array, weight: Array, padded_shape: Sequence[int]) -> Array:
        """Add `grad @ kernelᵀ`, tap by tap, to the positions that each tap read."""
        padded = np.zeros(padded_shape, dtype=np.result_type(grad, weight))
        by_group, grad_by_group = split_groups(padded, self.groups), split_groups(grad, self.groups)
        shape = (self.groups, weight.shape[0] // self.groups, weight.shape[1], self.taps)
        by_tap = np.ascontiguousarray(weight.reshape(shape).transpose(3, 0, 1, 2))
        products = np.empty(0, dtype=padded.dtype)
        for places in self._blocks(padded):
            block = grad_by_group[places]
            products = workspace(products, (self.taps, *block.shape[:-1], weight.shape[1]))
            by_place = block.reshape(self.groups, -1, block.shape[-1])
            np.matmul(by_place, by_tap, out=products.reshape(self.taps, *by_place.shape[:2], weight.shape[1]))
            for product, taken in zip(products, tap_slices(self.windows, self.outputs, rows=places[2]), strict=True):
                by_group[(*places[:2], *taken)] += product
        return padded


def workspace(memory: Array, shape: Sequence[int]) -> Array:
    """Return the front of `memory` in this shape, or new memory where it is too short."""
    size = prod(shape)
    flat = memory.reshape(-1)
    return (flat[:size] if flat.size >= size else np.empty(size, dtype=memory.dtype)).reshape(shape)


def split_groups(x: Array, groups: int) -> Array:
    """Return `(..., C)` as a view `(groups, ..., C / groups)`."""
    return np.moveaxis(x.reshape(*x.shape[:-1], groups, -1), -2, 0)


def require_spatial(x: Array, weight: Array) -> None:
    """Check that an input and a weight have the same one, two or three spatial axes."""
    if x.ndim != weight.ndim or not 3 <= x.ndim <= 5:
        raise GeometryError(
            f"input {x.shape} and weight {weight.shape} do not fit: both need the same number of axes, "
            "(N, C, *spatial) and (C_out, C_in / groups, *kernel) with one to three spatial axes"
        )

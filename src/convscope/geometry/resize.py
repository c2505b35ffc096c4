"""Taps of interpolation: which source positions a resized position mixes.

Source: PyTorch's `upsample` rules (`area_pixel_compute_source_index`), which are those of half-pixel centres unless
`align_corners` is set.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import floor, gcd
from typing import Literal

import numpy as np

from convscope.errors import GeometryError
from convscope.geometry.taps import TapTable, ragged_taps

InterpolationMode = Literal["nearest", "nearest-exact", "linear", "cubic"]

# Rows and columns together of a map up to which PyTorch takes the nearest position by `nearest_idx`.
_SMALL_MAP = 128


def source_coordinates(input_size: int, output_size: int, align_corners: bool, scale: float | None) -> list[float]:
    """Return the source coordinate of each output position, as PyTorch computes it."""
    if align_corners:
        ratio = (input_size - 1) / (output_size - 1) if output_size > 1 else 0.0
        return [ratio * u for u in range(output_size)]
    ratio = 1.0 / scale if scale else input_size / output_size
    return [ratio * (u + 0.5) - 0.5 for u in range(output_size)]


def scales_that_count(
    input_sizes: Sequence[int], output_sizes: Sequence[int], mode: InterpolationMode, scales: Sequence[float | None]
) -> tuple[float | None, ...]:
    """Return the scale factor of each axis, None where PyTorch goes by the sizes instead.

    Linear modes copy an axis that keeps its size, whatever the factor. So does "nearest" on a small map, where it also
    repeats each position of an axis that doubles.

    Source: PyTorch's `compute_source_index_and_lambda`, `nearest_idx` and `_use_vectorized_kernel_cond_2d`.

    >>> scales_that_count((7, 20), (7, 22), "linear", (1.1, 1.1)), scales_that_count((7,), (7,), "nearest", (1.1,))
    ((None, 1.1), (1.1,))
    """
    small = mode == "nearest" and len(output_sizes) == 2 and sum(output_sizes) <= _SMALL_MAP

    def by_size(size: int, wanted: int) -> bool:
        return (wanted == size and (small or mode == "linear")) or (wanted == 2 * size and small)

    return tuple(
        None if by_size(size, wanted) else scale
        for size, wanted, scale in zip(input_sizes, output_sizes, scales, strict=True)
    )


@lru_cache(maxsize=512)
def resize_taps(
    input_size: int,
    output_size: int,
    mode: InterpolationMode,
    *,
    align_corners: bool = False,
    scale: float | None = None,
) -> TapTable:
    """Return the taps of nearest, linear and cubic interpolation along one axis; taps with weight 0 are left out.

    Args:
        input_size: positions of the source axis.
        output_size: positions of the resized axis.
        mode: "nearest" (PyTorch's legacy rule), "nearest-exact", "linear" (bilinear, trilinear) or "cubic" (bicubic).
        align_corners: the corners' centres coincide, instead of the corners.
        scale: the scale factor, if PyTorch uses it instead of the sizes.

    Doubling two positions linearly mixes neighbours, except at the ends:

    >>> [[int(i) for i in row if 0 <= i < 2] for row in resize_taps(2, 4, "linear").positions]
    [[0], [0, 1], [0, 1], [1]]
    >>> resize_taps(2, 4, "nearest").positions.ravel().tolist()
    [0, 0, 1, 1]
    """
    if scale is not None and scale * input_size == output_size:
        scale = None  # the scale and the sizes say the same
    common = gcd(input_size, output_size)
    pace = None if align_corners or scale else (output_size // common, input_size // common)
    if mode in ("nearest", "nearest-exact"):
        ratio = np.float32(1.0 / scale if scale else input_size / output_size)
        shift = np.float32(0.5 if mode == "nearest-exact" else 0.0)
        u = np.arange(output_size, dtype=np.float32)
        picked = np.minimum(np.floor((u + shift) * ratio), input_size - 1).astype(np.int64)
        return ragged_taps(picked[:, None].tolist(), input_size, pace)
    reach = {"linear": (0, 1), "cubic": (-1, 2)}.get(mode)
    if reach is None:
        raise GeometryError(f"interpolation mode {mode!r} is not known: use nearest, nearest-exact, linear or cubic")
    return ragged_taps(
        [_mixed(source, *reach) for source in source_coordinates(input_size, output_size, align_corners, scale)],
        input_size,
        pace,
    )


def _mixed(source: float, first: int, last: int) -> list[int]:
    """Return the positions that a source coordinate gives a weight to: itself if it is a position, else its neighbours.

    Neighbours beyond the ends mean the end itself, which is then always among the taps: dropping them as padding
    reads the same positions.
    """
    base = floor(source + 1e-9)
    if abs(source - base) < 1e-9:
        return [base]
    return list(range(base + first, base + last + 1))

"""Taps of interpolation: which source positions a resized position mixes.

Source: PyTorch's `upsample` rules (`area_pixel_compute_source_index`), which are those of half-pixel centres unless
`align_corners` is set.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

from convscope.errors import GeometryError
from convscope.geometry.taps import NO_TAP, TapTable, listed_taps

ResizeMode = Literal["nearest", "nearest-exact", "linear", "cubic"]


def _sources(
    input_size: int, output_size: int, *, align_corners: bool, scale: float | None, cubic: bool
) -> list[float]:
    """Source coordinate of each output position, as PyTorch computes it."""
    if align_corners:
        ratio = (input_size - 1) / (output_size - 1) if output_size > 1 else 0.0
        return [ratio * u for u in range(output_size)]
    ratio = 1.0 / scale if scale else input_size / output_size
    centres = [ratio * (u + 0.5) - 0.5 for u in range(output_size)]
    return centres if cubic else [max(0.0, c) for c in centres]


@lru_cache(maxsize=512)
def resize_taps(
    input_size: int, output_size: int, mode: ResizeMode, *, align_corners: bool = False, scale: float | None = None
) -> TapTable:
    """Taps of nearest, linear and cubic interpolation along one axis; taps with weight 0 are left out.

    Args:
        input_size: positions of the source axis.
        output_size: positions of the resized axis.
        mode: "nearest" (PyTorch's legacy rule), "nearest-exact", "linear" (bilinear, trilinear) or "cubic" (bicubic).
        align_corners: the corners' centres coincide, instead of the corners.
        scale: the scale factor, where PyTorch was told to use it rather than the sizes.

    Doubling two positions linearly mixes neighbours except at the ends:

    >>> [[int(i) for i in row if i >= 0] for row in resize_taps(2, 4, "linear").positions]
    [[0], [0, 1], [0, 1], [1]]
    >>> resize_taps(2, 4, "nearest").positions.ravel().tolist()
    [0, 0, 1, 1]
    """
    last = input_size - 1
    if mode in ("nearest", "nearest-exact"):
        ratio = np.float32(1.0 / scale if scale else input_size / output_size)
        shift = np.float32(0.5 if mode == "nearest-exact" else 0.0)
        u = np.arange(output_size, dtype=np.float32)
        return listed_taps(np.minimum(np.floor((u + shift) * ratio), last).astype(np.int64), input_size)
    reach = {"linear": (0, 1), "cubic": (-1, 2)}.get(mode)
    if reach is None:
        raise GeometryError(f"interpolation mode {mode!r} is not known: use nearest, nearest-exact, linear or cubic")
    rows: list[list[int]] = []
    for source in _sources(input_size, output_size, align_corners=align_corners, scale=scale, cubic=mode == "cubic"):
        base = int(np.floor(source + 1e-9))
        exact = abs(source - base) < 1e-9
        first, final = (0, 0) if exact else reach
        rows.append(sorted({min(max(base + t, 0), last) for t in range(first, final + 1)}))
    longest = max(len(row) for row in rows)
    positions = np.array([row + [NO_TAP] * (longest - len(row)) for row in rows], dtype=np.int64)
    return listed_taps(positions, input_size)

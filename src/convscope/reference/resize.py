"""Resizing a feature map: nearest, linear and cubic interpolation, as one small matrix per axis.

Source: PyTorch's `interpolate`: half-pixel centres unless the corners are aligned.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import floor
from typing import Literal

import numpy as np

from convscope.arrays import Array
from convscope.errors import GeometryError
from convscope.geometry.resize import resize_taps, scales_that_count, source_coordinates
from convscope.reference.sliding import require_grad_shape

NumpyResizeMode = Literal["nearest", "nearest-exact", "linear", "cubic"]


@lru_cache(maxsize=64)
def resize_matrix(
    input_size: int,
    output_size: int,
    mode: NumpyResizeMode,
    *,
    align_corners: bool = False,
    scale: float | None = None,
) -> Array:
    """Return the weights of the input positions in each output position, `(output_size, input_size)`; rows sum to 1.

    >>> resize_matrix(2, 4, "linear")
    array([[1.  , 0.  ],
           [0.75, 0.25],
           [0.25, 0.75],
           [0.  , 1.  ]])
    """
    matrix = np.zeros((output_size, input_size))
    rows = np.arange(output_size)
    if mode.startswith("nearest"):
        matrix[rows, resize_taps(input_size, output_size, mode, scale=scale).positions.ravel()] = 1
        return matrix
    for u, source in enumerate(source_coordinates(input_size, output_size, align_corners, scale)):
        if mode == "cubic":
            lower = floor(source)
            for tap in range(lower - 1, lower + 3):
                matrix[u, min(max(tap, 0), input_size - 1)] += _cubic(abs(source - tap))
            continue
        coordinate = max(source, 0.0)
        lower = min(floor(coordinate), input_size - 1)
        share = min(coordinate - lower, 1.0)
        matrix[u, lower] += 1 - share
        matrix[u, min(lower + 1, input_size - 1)] += share
    return matrix


def _cubic(distance: float) -> float:
    """Return the weight of a position at this distance, at most 2: Keys's kernel with a = −3/4, as PyTorch has it."""
    if distance < 1:
        return (1.25 * distance - 2.25) * distance**2 + 1
    return ((-0.75 * distance + 3.75) * distance - 6) * distance + 3


def resize(
    x: Array,
    output_sizes: Sequence[int],
    *,
    mode: NumpyResizeMode = "nearest",
    align_corners: bool = False,
    scales: Sequence[float | None] | None = None,
) -> Array:
    """Resize every map: `(N, C, *S) -> (N, C, *output_sizes)`.

    Args:
        mode: "linear" is linear, bilinear or trilinear, by the number of axes; "cubic" is bicubic.
        align_corners: the corners' centres coincide; for linear and cubic alone.
        scales: the scale factors, where they are to count rather than the sizes.

    Raises:
        GeometryError: not one size per spatial axis.

    >>> resize(np.array([[[1., 2]]]), [4])
    array([[[1., 1., 2., 2.]]])
    """
    for axis, matrix in enumerate(_matrices(x, output_sizes, mode, align_corners, scales)):
        x = np.moveaxis(np.moveaxis(x, 2 + axis, -1) @ matrix.T.astype(x.dtype), -1, 2 + axis)
    return x


def resize_backward(
    grad_output: Array,
    x: Array,
    output_sizes: Sequence[int],
    *,
    mode: NumpyResizeMode = "nearest",
    align_corners: bool = False,
    scales: Sequence[float | None] | None = None,
) -> Array:
    """Return the gradient of `resize` for the input: each output's goes to the inputs that it was mixed from.

    >>> resize_backward(np.array([[[1., 2, 3, 4]]]), np.zeros((1, 1, 2)), [4])
    array([[[3., 7.]]])
    """
    require_grad_shape(grad_output, (*x.shape[:2], *output_sizes))
    for axis, matrix in enumerate(_matrices(x, output_sizes, mode, align_corners, scales)):
        flowing = np.moveaxis(grad_output, 2 + axis, -1) @ matrix.astype(grad_output.dtype)
        grad_output = np.moveaxis(flowing, -1, 2 + axis)
    return grad_output


def _matrices(
    x: Array,
    output_sizes: Sequence[int],
    mode: NumpyResizeMode,
    align_corners: bool,
    scales: Sequence[float | None] | None,
) -> list[Array]:
    sizes = x.shape[2:]
    if len(output_sizes) != len(sizes):
        raise GeometryError(f"input {x.shape} has {len(sizes)} spatial axes, but {len(output_sizes)} sizes are given")
    factors = scales_that_count(sizes, output_sizes, mode, scales or [None] * len(sizes))
    return [
        resize_matrix(n, int(m), mode, align_corners=align_corners, scale=factor)
        for n, m, factor in zip(sizes, output_sizes, factors, strict=True)
    ]

"""Pooling: the maximum or the average of what lies in a window, channel by channel; nothing to learn.

Both walk over the taps of the window, not over its places: nine steps on whole arrays for a 3x3 window.

Source: PyTorch's rules for padding, `ceil_mode`, `count_include_pad` and adaptive windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

import numpy as np

from convscope.arrays import Array, floating_dtype
from convscope.errors import GeometryError
from convscope.geometry.convolution import per_axis
from convscope.geometry.pooling import adaptive_ranges, pooling_windows
from convscope.geometry.window import Window
from convscope.reference.sliding import (
    PerAxis,
    channels_first,
    channels_last,
    fitted_sizes,
    inner,
    padded_channels_last,
    require_grad_shape,
    tap_slices,
)

Index = tuple[slice | int, ...]


def max_pool(
    x: Array,
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
) -> Array:
    """Return the maximum of each window: `(N, C, *S) -> (N, C, *S_out)`; the stride defaults to the kernel's size.

    Raises:
        GeometryError: a window that does not fit, or padding of more than half the kernel.

    The 4x4 example of the lecture notes on pooling and receptive fields:

    >>> x = np.array([[2, 8, 4, 1], [6, 3, 7, 2], [0, 5, 9, 3], [4, 1, 6, 8]])
    >>> max_pool(x[None, None], 2)[0, 0]
    array([[8, 7],
           [5, 9]])
    """
    windows, outputs = _pooling(x, kernel_size, stride, padding, dilation, ceil_mode)
    padded = padded_channels_last(x, windows, fill=_lowest(x))
    best, _ = _winners(padded, windows, outputs)
    return channels_first(best)


def max_pool_backward(
    grad_output: Array,
    x: Array,
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
) -> Array:
    """Return the gradient of `max_pool` for the input: all of it at the maximum, the first one in a tie.

    >>> max_pool_backward(np.array([[[7.]]]), np.array([[[1., 5, 5]]]), 3)
    array([[[0., 7., 0.]]])
    """
    windows, outputs = _pooling(x, kernel_size, stride, padding, dilation, ceil_mode)
    require_grad_shape(grad_output, (*x.shape[:2], *outputs))
    padded = padded_channels_last(x, windows, fill=_lowest(x))
    _, winner = _winners(padded, windows, outputs)
    grad = channels_last(grad_output)
    grad_padded = np.zeros(padded.shape, dtype=grad.dtype)
    for tap, taken in enumerate(tap_slices(windows, outputs)):
        grad_padded[(slice(None), *taken)] += np.where(winner == tap, grad, 0)
    return channels_first(grad_padded[inner(windows, x.shape[2:])])


def average_pool(
    x: Array,
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: float | None = None,
) -> Array:
    """Return the mean of each window: `(N, C, *S) -> (N, C, *S_out)`.

    Args:
        count_include_pad: divide by the window's whole size, padding included, as PyTorch does by default.
        divisor: divide each window's sum by this instead (PyTorch's `divisor_override`).

    Raises:
        GeometryError: a window that does not fit, or padding of more than half the kernel.

    >>> average_pool(np.array([[[[1., 3], [4, 6]]]]), 2)
    array([[[[3.5]]]])
    """
    windows, outputs = _pooling(x, kernel_size, stride, padding, 1, ceil_mode)
    padded = padded_channels_last(x, windows)
    total = np.zeros((x.shape[0], *outputs, x.shape[1]), dtype=floating_dtype(x))
    for taken in tap_slices(windows, outputs):
        total += padded[(slice(None), *taken)]
    counts = _divisors(windows, x.shape[2:], outputs, count_include_pad, divisor)
    return channels_first(total / counts.astype(total.dtype))


def average_pool_backward(
    grad_output: Array,
    x: Array,
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: float | None = None,
) -> Array:
    """Return the gradient of `average_pool` for the input, the same for every position of a window.

    >>> average_pool_backward(np.array([[[8.]]]), np.zeros((1, 1, 2)), 2)
    array([[[4., 4.]]])
    """
    windows, outputs = _pooling(x, kernel_size, stride, padding, 1, ceil_mode)
    require_grad_shape(grad_output, (*x.shape[:2], *outputs))
    counts = _divisors(windows, x.shape[2:], outputs, count_include_pad, divisor)
    share = channels_last(grad_output) / counts.astype(grad_output.dtype)
    grad_padded = np.zeros(padded_channels_last(x, windows).shape, dtype=share.dtype)
    for taken in tap_slices(windows, outputs):
        grad_padded[(slice(None), *taken)] += share
    return channels_first(grad_padded[inner(windows, x.shape[2:])])


def _divisors(
    windows: Sequence[Window],
    sizes: Sequence[int],
    outputs: Sequence[int],
    include_padding: bool,
    divisor: float | None,
) -> Array:
    if divisor is not None:
        return np.asarray(divisor)
    return window_counts(windows, sizes, outputs, include_padding=include_padding)


def adaptive_average_pool(x: Array, output_size: PerAxis) -> Array:
    """Return the mean over `output_size` windows that cover the axis: `(N, C, *S) -> (N, C, *output_size)`.

    >>> adaptive_average_pool(np.array([[[0., 1, 2, 3, 4]]]), 2)
    array([[[1., 3.]]])
    """
    outputs = per_axis("output_size", output_size, x.ndim - 2)
    result = np.empty((*x.shape[:2], *outputs), dtype=floating_dtype(x))
    for place, window in _adaptive_windows(x.shape[2:], outputs):
        result[place] = x[window].mean(axis=tuple(range(2, x.ndim)))
    return result


def adaptive_average_pool_backward(grad_output: Array, x: Array, output_size: PerAxis) -> Array:
    """Return the gradient of `adaptive_average_pool` for the input.

    >>> adaptive_average_pool_backward(np.array([[[3., 3]]]), np.zeros((1, 1, 5)), 2)
    array([[[1., 1., 2., 1., 1.]]])
    """
    outputs = per_axis("output_size", output_size, x.ndim - 2)
    require_grad_shape(grad_output, (*x.shape[:2], *outputs))
    grad_x = np.zeros(x.shape, dtype=grad_output.dtype)
    for place, window in _adaptive_windows(x.shape[2:], outputs):
        part = grad_x[window]
        part += (grad_output[place] / prod(part.shape[2:])).reshape(*part.shape[:2], *(1 for _ in outputs))
    return grad_x


def adaptive_max_pool(x: Array, output_size: PerAxis) -> Array:
    """Return the maximum over windows cut so that `output_size` of them cover the axis.

    >>> adaptive_max_pool(np.array([[[5., 1, 2, 3, 4]]]), 2)
    array([[[5., 4.]]])
    """
    outputs = per_axis("output_size", output_size, x.ndim - 2)
    result = np.empty((*x.shape[:2], *outputs), dtype=x.dtype)
    for place, window in _adaptive_windows(x.shape[2:], outputs):
        result[place] = x[window].max(axis=tuple(range(2, x.ndim)))
    return result


def adaptive_max_pool_backward(grad_output: Array, x: Array, output_size: PerAxis) -> Array:
    """Return the gradient of `adaptive_max_pool` for the input: to the first maximum of each window.

    >>> adaptive_max_pool_backward(np.array([[[2., 3]]]), np.array([[[5., 1, 2, 3, 4]]]), 2)
    array([[[2., 0., 0., 0., 3.]]])
    """
    outputs = per_axis("output_size", output_size, x.ndim - 2)
    require_grad_shape(grad_output, (*x.shape[:2], *outputs))
    grad_x = np.zeros(x.shape, dtype=grad_output.dtype)
    for place, window in _adaptive_windows(x.shape[2:], outputs):
        cut = x[window]
        flat = cut.reshape(*cut.shape[:2], -1)
        chosen = np.arange(flat.shape[-1]) == flat.argmax(axis=-1)[..., None]
        part = grad_x[window]
        part += (chosen * grad_output[place][..., None]).reshape(part.shape)
    return grad_x


def global_average_pool(x: Array) -> Array:
    """Return one mean per channel: `(N, C, *S) -> (N, C, 1, ...)`.

    >>> global_average_pool(np.array([[[[1., 2], [3, 6]]]]))
    array([[[[3.]]]])
    """
    result: Array = x.mean(axis=tuple(range(2, x.ndim)), keepdims=True)
    return result


def global_average_pool_backward(grad_output: Array, x: Array) -> Array:
    """Return the gradient of `global_average_pool` for the input: the same share everywhere.

    >>> global_average_pool_backward(np.array([[[8.]]]), np.zeros((1, 1, 4)))
    array([[[2., 2., 2., 2.]]])
    """
    return np.broadcast_to(grad_output / prod(x.shape[2:]), x.shape)


def global_max_pool(x: Array) -> Array:
    """Return one maximum per channel: `(N, C, *S) -> (N, C, 1, ...)`."""
    return adaptive_max_pool(x, 1)


def global_max_pool_backward(grad_output: Array, x: Array) -> Array:
    """Return the gradient of `global_max_pool` for the input: to the first maximum of each channel."""
    return adaptive_max_pool_backward(grad_output, x, 1)


def _pooling(
    x: Array, kernel_size: PerAxis, stride: PerAxis | None, padding: PerAxis, dilation: PerAxis, ceil_mode: bool
) -> tuple[tuple[Window, ...], tuple[int, ...]]:
    if not 3 <= x.ndim <= 5:
        raise GeometryError(
            f"input {x.shape} has {x.ndim} axes: pooling needs (N, C, *spatial) with one to three spatial"
        )
    windows = pooling_windows(
        x.ndim - 2, kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
    return windows, fitted_sizes(x.shape, windows, kernel_shape=[w.kernel_size for w in windows])


def _lowest(x: Array) -> float:
    """Return the value of padding under a maximum, which is never the largest."""
    return -np.inf if np.issubdtype(x.dtype, np.floating) else int(np.iinfo(x.dtype).min)


def _winners(padded: Array, windows: Sequence[Window], outputs: Sequence[int]) -> tuple[Array, Array]:
    """Return the maximum of each window and the tap (counted row by row) that held it first.

    A NaN wins, as in PyTorch; where a window holds nothing above -inf, no tap does (-1).
    """
    shape = (padded.shape[0], *outputs, padded.shape[-1])
    best, winner = np.full(shape, _lowest(padded), dtype=padded.dtype), np.full(shape, -1, dtype=np.int32)
    for tap, taken in enumerate(tap_slices(windows, outputs)):
        value = padded[(slice(None), *taken)]
        wins = (value > best) | (value != value)
        np.copyto(best, value, where=wins)
        winner[wins] = tap
    return best, winner


def window_counts(
    windows: Sequence[Window], sizes: Sequence[int], outputs: Sequence[int], *, include_padding: bool
) -> Array:
    """Return how many cells each average divides by, `(*outputs, 1)`; what hangs over the padded end never counts.

    >>> window_counts([Window.of(3, padding=1)], [4], [4], include_padding=False)[:, 0]
    array([2, 3, 3, 2])
    """
    per_axis_counts = []
    for window, size, output in zip(windows, sizes, outputs, strict=True):
        low, high = (
            (0, window.padded_size(size)) if include_padding else (window.padding_before, window.padding_before + size)
        )
        starts = np.arange(output) * window.stride
        per_axis_counts.append(np.minimum(starts + window.kernel_size, high) - np.maximum(starts, low))
    counts = per_axis_counts[0]
    for axis_counts in per_axis_counts[1:]:
        counts = counts[..., None] * axis_counts
    return counts[..., None]


def _adaptive_windows(sizes: Sequence[int], outputs: Sequence[int]) -> list[tuple[Index, Index]]:
    ranges = [adaptive_ranges(size, output) for size, output in zip(sizes, outputs, strict=True)]
    keep: Index = (slice(None), slice(None))
    return [
        ((*keep, *place), (*keep, *(slice(*ranges[axis][u]) for axis, u in enumerate(place))))
        for place in product(*(range(output) for output in outputs))
    ]

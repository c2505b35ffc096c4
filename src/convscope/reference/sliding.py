"""Sliding windows over arrays: the view that convolution and pooling read through, and the way back.

Inside, arrays are channels-last, `(N, *spatial, C)`: the channels under one tap are then neighbours in memory, and
a row of taps is one run of numbers. A window costs nothing as a view; only the matrix product needs it copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from convscope.arrays import Array
from convscope.errors import GeometryError
from convscope.geometry.convolution import output_sizes, per_axis
from convscope.geometry.convolution import windows as geometry_windows
from convscope.geometry.window import Padding, Window

PerAxis = int | Sequence[int]
Paddings = Padding | Sequence[int | tuple[int, int]]

# Columns are made and used a block at a time: a block that stays in the cache is twice as fast as one that does not.
BLOCK_BYTES = 2 * 2**20


def channels_of(x: Array) -> str:
    """Return the channels of an input (N, C, ...), for a message.

    >>> channels_of(np.zeros((2, 1, 8, 8))), channels_of(np.zeros((2, 3, 8, 8)))
    ('1 channel', '3 channels')
    """
    return "1 channel" if x.shape[1] == 1 else f"{x.shape[1]} channels"


def layer_windows(
    kernel_size: Sequence[int], *, stride: PerAxis, padding: Paddings, dilation: PerAxis
) -> tuple[Window, ...]:
    """Return one window per axis; beyond PyTorch's settings, an axis's padding may be a pair (before, after).

    >>> [w.padding for w in layer_windows((3, 3), stride=1, padding=((2, 0), 1), dilation=1)]
    [(2, 0), (1, 1)]
    """
    dimensions = len(kernel_size)
    if isinstance(padding, int | str):
        return geometry_windows(dimensions, kernel_size, stride=stride, padding=padding, dilation=dilation)
    paddings = padding if len(padding) == dimensions else (*padding,) * dimensions
    strides, dilations = per_axis("stride", stride, dimensions), per_axis("dilation", dilation, dimensions)
    if len(paddings) != dimensions:
        raise GeometryError(
            f"padding has {len(padding)} entries, but the layer has {dimensions} spatial axes: give 1 or {dimensions}"
        )
    return tuple(
        Window.of(k, stride=s, padding=p, dilation=d)
        for k, s, p, d in zip(kernel_size, strides, paddings, dilations, strict=True)
    )


def fitted_sizes(
    input_shape: Sequence[int], windows: Sequence[Window], *, kernel_shape: Sequence[int]
) -> tuple[int, ...]:
    """Return the output size per axis, or a GeometryError that names both shapes and the formula.

    >>> fitted_sizes((1, 3, 4), [Window(kernel_size=5)], kernel_shape=(8, 3, 5))
    Traceback (most recent call last):
    ...
    convscope.errors.GeometryError: input (1, 3, 4) and kernel (8, 3, 5): kernel 5 does not fit: it spans 5, but the \
axis has 4: pad by 1 more on each side, or use a smaller kernel or a larger input \
[output size = ⌊(input + padding − span) / stride⌋ + 1]
    """
    try:
        return output_sizes(input_shape[2:], windows)
    except GeometryError as error:
        raise GeometryError(
            f"input {tuple(input_shape)} and kernel {tuple(kernel_shape)}: {error} "
            "[output size = ⌊(input + padding − span) / stride⌋ + 1]"
        ) from None


def require_grad_shape(grad_output: Array, shape: Sequence[int]) -> None:
    """Check that a gradient has its output's shape."""
    if grad_output.shape != tuple(shape):
        raise GeometryError(f"grad_output is {grad_output.shape}, but the output that it belongs to is {tuple(shape)}")


def channels_last(x: Array) -> Array:
    """Return `(N, C, *spatial)` as `(N, *spatial, C)`, a view."""
    return np.moveaxis(x, 1, -1)


def channels_first(x: Array) -> Array:
    """Return `(N, *spatial, C)` as `(N, C, *spatial)`: a view, still channels-last in memory."""
    return np.moveaxis(x, -1, 1)


def padded_channels_last(x: Array, windows: Sequence[Window], *, fill: float = 0.0) -> Array:
    """Return a channels-last copy of `x` `(N, C, *spatial)`, padded with `fill` as the windows state."""
    sizes = x.shape[2:]
    outputs = output_sizes(sizes, windows)
    # With ceil_mode the last window may hang over the end: room for it is part of the padding.
    room = [
        max(w.padded_size(size), (output - 1) * w.stride + w.span)
        for w, size, output in zip(windows, sizes, outputs, strict=True)
    ]
    if all(w.padding == (0, 0) for w in windows) and tuple(room) == sizes:
        return np.ascontiguousarray(channels_last(x))
    padded = np.full((x.shape[0], *room, x.shape[1]), fill, dtype=x.dtype)
    padded[inner(windows, sizes)] = channels_last(x)
    return padded


def inner(windows: Sequence[Window], sizes: Sequence[int]) -> tuple[slice, ...]:
    """Return the slices of the input itself in a padded channels-last array."""
    return (slice(None), *(slice(w.padding_before, w.padding_before + n) for w, n in zip(windows, sizes, strict=True)))


def window_view(padded: Array, windows: Sequence[Window], outputs: Sequence[int]) -> Array:
    """Return every window of a padded `(N, *padded, C)` array as a view `(N, *outputs, *kernel, C)`; copies nothing.

    >>> view = window_view(np.arange(5).reshape(1, 5, 1), [Window(kernel_size=3)], [3])
    >>> view[0, :, :, 0]
    array([[0, 1, 2],
           [1, 2, 3],
           [2, 3, 4]])
    """
    sample, *spatial, channel = padded.strides
    shape = (padded.shape[0], *outputs, *(w.kernel_size for w in windows), padded.shape[-1])
    strides = (
        sample,
        *(s * w.stride for s, w in zip(spatial, windows, strict=True)),
        *(s * w.dilation for s, w in zip(spatial, windows, strict=True)),
        channel,
    )
    return as_strided(padded, shape, strides, writeable=False)


def tap_slices(
    windows: Sequence[Window], outputs: Sequence[int], *, rows: slice | None = None
) -> Iterator[tuple[slice, ...]]:
    """Yield for each tap, in row-major order, its padded positions under all windows, one slice an axis.

    `rows` takes only some of the windows on the first axis.

    >>> list(tap_slices([Window(kernel_size=2, stride=3)], [4]))
    [(slice(0, 10, 3),), (slice(1, 11, 3),)]
    """
    rows = rows or slice(0, outputs[0])
    ranges = [(rows.start, rows.stop), *((0, output) for output in outputs[1:])]
    for taps in product(*(range(w.kernel_size) for w in windows)):
        yield tuple(
            slice(first * w.stride + t * w.dilation, (last - 1) * w.stride + t * w.dilation + 1, w.stride)
            for t, w, (first, last) in zip(taps, windows, ranges, strict=True)
        )


def blocks(samples: int, outputs: Sequence[int], window_bytes: int) -> Iterator[tuple[slice, slice]]:
    """Yield pieces of an output that need about `BLOCK_BYTES` of columns: samples, and rows of the first axis.

    >>> list(blocks(4, (8, 8), BLOCK_BYTES // 128))
    [(slice(0, 2, None), slice(0, 8, None)), (slice(2, 4, None), slice(0, 8, None))]
    """
    row_bytes = prod(outputs[1:]) * window_bytes
    samples_step = max(1, BLOCK_BYTES // (row_bytes * outputs[0]))
    rows_step = min(outputs[0], max(1, BLOCK_BYTES // row_bytes))
    for sample in range(0, samples, samples_step):
        for row in range(0, outputs[0], rows_step):
            yield (
                slice(sample, min(sample + samples_step, samples)),
                slice(row, min(row + rows_step, outputs[0])),
            )

"""Cells that a sliding window made: convolution, transposed convolution, and every kind of pooling."""

from __future__ import annotations

import numpy as np

from convscope.arrays import Array
from convscope.geometry.pooling import adaptive_ranges
from convscope.geometry.resize import scales_that_count
from convscope.geometry.window import Window
from convscope.graph.records import Argument, Node
from convscope.interpret.explanation.worked import (
    Coordinates,
    NumberAt,
    Operands,
    Way,
    Worked,
    WorkedLine,
    choice_of,
    mean_of,
    products_of,
    ref,
    scalar,
)
from convscope.reference.pooling import window_counts
from convscope.reference.resize import NumpyResizeMode, resize_matrix


def _window(
    node: Node, x: Array, position: Coordinates, channels: Array, *, fill: float = 0.0
) -> tuple[Array, tuple[Array, ...], Array]:
    """Numbers, positions and inside-mask `(C, *kernel)` of the window that made a cell."""
    dimensions = len(node.windows)
    places, inside = [], np.asarray(True)
    for axis, (window, u, size) in enumerate(
        zip(node.windows, position[-dimensions:], x.shape[-dimensions:], strict=True)
    ):
        taps = u * window.stride - window.padding_before + window.dilation * np.arange(window.kernel_size)
        shape = (1, *(window.kernel_size if a == axis else 1 for a, window in enumerate(node.windows)))
        places.append(taps.reshape(shape))
        inside = inside & ((taps >= 0) & (taps < size)).reshape(shape)
    return _read(x, position, channels, places, inside, fill)


def _read(
    x: Array, position: Coordinates, channels: Array, places: list[Array], inside: Array, fill: float
) -> tuple[Array, tuple[Array, ...], Array]:
    by_channel = channels.reshape(-1, *(1 for _ in places))
    clipped = [np.clip(p, 0, n - 1) for p, n in zip(places, x.shape[-len(places) :], strict=True)]
    batched = (np.asarray(position[0]),) if x.ndim == len(places) + 2 else ()
    where = (*batched, by_channel, *clipped)
    found = x[where]
    inside = np.broadcast_to(inside, found.shape)
    return np.where(inside, found, fill), (*batched, by_channel, *places), inside


def convolution(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a cell of a convolution, plain or transposed: patch times kernel, plus the bias."""
    a = node.arguments
    value, weight = ref(a["input"]), numbers(ref(a["weight"]))
    x = numbers(value)
    dimensions = weight.ndim - 2
    channel = position[-dimensions - 1]
    if a["transposed"]:
        per_group, in_group = weight.shape[1], weight.shape[0] // node.groups
        group = channel // per_group
        kernel = weight[group * in_group : (group + 1) * in_group, channel % per_group]
        channels = np.arange(group * in_group, (group + 1) * in_group)
        found, places, inside = _landing(node, x, position, channels)
    else:
        kernel, in_group = weight[channel], weight.shape[1]
        channels = channel // (weight.shape[0] // node.groups) * in_group + np.arange(in_group)
        found, places, inside = _window(node, x, position, channels)
    bias = None if a["bias"] is None else scalar(numbers(ref(a["bias"]))[channel])
    operands = Operands(value, found, places, inside, kernel)
    return products_of(operands, bias)


def _landing(node: Node, x: Array, position: Coordinates, channels: Array) -> tuple[Array, tuple[Array, ...], Array]:
    """Return the inputs that a transposed convolution writes into a cell: `u = i · stride − padding + t · dilation`."""
    dimensions = len(node.windows)
    places, inside = [], np.asarray(True)
    for axis, (window, u, size) in enumerate(
        zip(node.windows, position[-dimensions:], x.shape[-dimensions:], strict=True)
    ):
        reached = u + window.padding_before - window.dilation * np.arange(window.kernel_size)
        shape = (1, *(window.kernel_size if a == axis else 1 for a, window in enumerate(node.windows)))
        source = reached // window.stride
        places.append(source.reshape(shape))
        lands = (reached % window.stride == 0) & (source >= 0) & (source < size)
        inside = inside & lands.reshape(shape)
    return _read(x, position, channels, places, inside, 0.0)


def max_pool(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a cell of a maximum pooling: the pixel that won."""
    value = ref(node.arguments["self"])
    channel = np.asarray([position[-len(node.windows) - 1]])
    found, places, inside = _window(node, numbers(value), position, channel, fill=-np.inf)
    return choice_of(Operands(value, found, places, inside))


def average_pool(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a cell of an average pooling."""
    value = ref(node.arguments["self"])
    x, dimensions = numbers(value), len(node.windows)
    channel = np.asarray([position[-dimensions - 1]])
    found, places, inside = _window(node, x, position, channel)
    divisor = node.arguments.get("divisor_override")
    if divisor is None:
        sizes = x.shape[-dimensions:]
        outputs = [window.output_size(size) for window, size in zip(node.windows, sizes, strict=True)]
        included = bool(node.arguments["count_include_pad"])
        counts = window_counts(node.windows, sizes, outputs, include_padding=included)
        divisor = int(counts[(*position[-dimensions:], 0)])
    assert isinstance(divisor, int)
    return mean_of(Operands(value, found, places, inside), divisor)


def _adaptive(node: Node, numbers: NumberAt, position: Coordinates) -> Operands:
    value = ref(node.arguments["self"])
    x = numbers(value)
    wanted = node.arguments["output_size"]
    outputs = tuple(wanted) if isinstance(wanted, tuple) else (wanted,)
    dimensions = len(outputs)
    places: list[Array] = []
    for axis, (u, size, output) in enumerate(zip(position[-dimensions:], x.shape[-dimensions:], outputs, strict=True)):
        first, stop = adaptive_ranges(size, int(str(output)))[u]
        places.append(np.arange(first, stop).reshape(1, *(-1 if a == axis else 1 for a in range(dimensions))))
    channel = np.asarray([position[-dimensions - 1]])
    found, where, inside = _read(x, position, channel, places, np.asarray(True), 0.0)
    return Operands(value, found, where, inside)


def adaptive_average(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a cell of an average over an adaptive window."""
    operands = _adaptive(node, numbers, position)
    return mean_of(operands, operands.numbers.size)


def adaptive_maximum(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a cell of a maximum over an adaptive window."""
    return choice_of(_adaptive(node, numbers, position))


def summed_columns(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a cell of `fold`: the sum of what the windows over it hold for it."""
    a = node.arguments
    value = ref(a["self"])
    x = numbers(value)
    kernel, dilation, padding, stride = (_pair(a[name]) for name in ("kernel_size", "dilation", "padding", "stride"))
    sizes = _pair(a["output_size"])
    windows = [
        Window(kernel_size=k, dilation=d, padding_before=p, padding_after=p, stride=s)
        for k, d, p, s in zip(kernel, dilation, padding, stride, strict=True)
    ]
    places = [window.output_size(size) for window, size in zip(windows, sizes, strict=True)]
    along = []
    for window, u, count in zip(windows, position[-2:], places, strict=True):
        starts = u + window.padding_before - window.dilation * np.arange(window.kernel_size)
        along.append([(tap, start // window.stride) for tap, start in enumerate(starts)
                      if start % window.stride == 0 and 0 <= start // window.stride < count])  # fmt: skip
    taps = [i * kernel[1] + j for i, _ in along[0] for j, _ in along[1]]
    columns = np.asarray([r * places[1] + c for _, r in along[0] for _, c in along[1]], dtype=np.int64)
    rows = position[-3] * kernel[0] * kernel[1] + np.asarray(taps, dtype=np.int64)
    where = (*(np.asarray(p) for p in position[:-3]), rows, columns)
    found = x[where]
    line = WorkedLine(f"sum of {found.size:,}", scalar(found.sum()))
    return Worked("sum", (Operands(value, found, where, np.ones(found.shape, dtype=bool)),), (line,))


def _pair(setting: Argument) -> tuple[int, int]:
    assert isinstance(setting, tuple)
    first, last = int(str(setting[0])), int(str(setting[-1]))
    return first, last


def resized(mode: NumpyResizeMode) -> Way:
    """Return a cell of an interpolated map: the neighbours that it mixes, by their shares."""

    def way(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
        value, outputs = ref(node.arguments["self"]), node.arguments["output_size"]
        assert isinstance(outputs, tuple)
        x, dimensions = numbers(value), len(outputs)
        names = ("scales_d", "scales_h", "scales_w")[-dimensions:] if dimensions > 1 else ("scales",)
        given = [scale if isinstance(scale := node.arguments.get(name), float) else None for name in names]
        sizes, wanted = x.shape[-dimensions:], [int(str(output)) for output in outputs]
        scales = scales_that_count(sizes, wanted, mode, given)
        aligned = bool(node.arguments.get("align_corners"))
        places: list[Array] = []
        weights: Array = np.ones((1,) * (dimensions + 1))
        for axis, (scale, u, size, output) in enumerate(
            zip(scales, position[-dimensions:], sizes, wanted, strict=True)
        ):
            row = resize_matrix(size, output, mode, align_corners=aligned, scale=scale)[u]
            taps = np.flatnonzero(row)
            shape = (1, *(-1 if a == axis else 1 for a in range(dimensions)))
            places.append(taps.reshape(shape))
            weights = weights * row[taps].reshape(shape)
        channel = np.asarray([position[-dimensions - 1]])
        found, where, inside = _read(x, position, channel, places, np.asarray(True), 0.0)
        return products_of(Operands(value, found, where, inside, weights), None)

    return way

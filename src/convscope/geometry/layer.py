"""One layer worked out by hand: sizes, formulas, pixels never read, costs, and a fully connected layer's.

Source: Dumoulin and Visin (2016) for sizes; the comparison with a fully connected layer is that of every CNN lecture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

from convscope.errors import GeometryError
from convscope.geometry.convolution import TransposedWindow, per_axis, windows
from convscope.geometry.cost import Cost, convolution_cost, linear_cost, require_groups, transposed_convolution_cost
from convscope.geometry.pooling import pooling_windows
from convscope.geometry.window import Padding, Window

LayerKind = Literal["convolution", "transposed convolution", "pooling"]


@dataclass(frozen=True, slots=True, repr=False)
class AxisArithmetic:
    """One axis of the layer.

    Args:
        input_size: positions read.
        output_size: positions made.
        formula: how the output size comes about, numbers filled in.
        remainder: padded positions left over by rounding down; 0 where the division is whole.
        never_read: input positions that no output depends on.
        bias_only: output positions that no input reaches (transposed convolution with a stride above its kernel).
        uses: how many windows read a pixel of this axis (or are written from it): the fewest and the most.
        window: the axis's settings.
    """

    input_size: int
    output_size: int
    formula: str
    remainder: int
    never_read: tuple[int, ...]
    bias_only: tuple[int, ...]
    uses: tuple[int, int]
    window: Window

    def __repr__(self) -> str:
        return f"<AxisArithmetic {self.formula}>"


@dataclass(frozen=True, slots=True, repr=False)
class LayerArithmetic:
    """A layer worked out; costs are None where the channels were not given.

    Args:
        kind: what kind of layer.
        axes: one per spatial axis.
        in_channels: channels read, or None.
        out_channels: channels made, or None.
        groups: channel groups.
        cost: parameters and MACs for one sample.
        units_cost: a fully connected layer with as many units as this layer has filters, on the same input.
        dense_cost: a fully connected layer that makes every one of this layer's outputs, on the same input.
    """

    kind: LayerKind
    axes: tuple[AxisArithmetic, ...]
    in_channels: int | None
    out_channels: int | None
    groups: int
    cost: Cost | None
    units_cost: Cost | None
    dense_cost: Cost | None

    def __repr__(self) -> str:
        return f"<LayerArithmetic {self.kind} {self.input_shape} to {self.output_shape}>"

    @property
    def input_sizes(self) -> tuple[int, ...]:
        """Positions read, per axis."""
        return tuple(axis.input_size for axis in self.axes)

    @property
    def output_sizes(self) -> tuple[int, ...]:
        """Positions made, per axis."""
        return tuple(axis.output_size for axis in self.axes)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The input shape: the sizes, with the channels in front if they are known."""
        return self.input_sizes if self.in_channels is None else (self.in_channels, *self.input_sizes)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The output shape: the sizes, with the channels in front if they are known.

        >>> work_out((224, 224), 7, stride=2, padding=3, in_channels=3, out_channels=64).output_shape
        (64, 112, 112)
        """
        return self.output_sizes if self.out_channels is None else (self.out_channels, *self.output_sizes)

    @property
    def pixels_never_read(self) -> int:
        """Input pixels of a channel that no output depends on: those in a row or column that is never read."""
        return prod(self.input_sizes) - prod(axis.input_size - len(axis.never_read) for axis in self.axes)


def work_out(
    input_sizes: Sequence[int],
    kernel_size: int | Sequence[int],
    *,
    kind: LayerKind = "convolution",
    stride: int | Sequence[int] | None = None,
    padding: Padding | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    output_padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    in_channels: int | None = None,
    out_channels: int | None = None,
    groups: int = 1,
    bias: bool = True,
) -> LayerArithmetic:
    """Work out one layer on an input of these spatial sizes; the stride is 1, or a pooling's kernel, unless given.

    Raises:
        GeometryError: a kernel that does not fit, a setting of the wrong kind of layer, or groups that do not divide.

    The first layer of ResNet-50, and the notes' hundred filters beside a hundred units:

    >>> work_out((224, 224), 7, stride=2, padding=3).output_sizes
    (112, 112)
    >>> layer = work_out((32, 32), 3, padding=1, in_channels=3, out_channels=100)
    >>> layer.cost.parameters, layer.units_cost.parameters
    (2800, 307300)
    """
    dimensions = len(input_sizes)
    _require_settings_of(kind, padding=padding, output_padding=output_padding, ceil_mode=ceil_mode, groups=groups)
    if kind == "pooling" and out_channels not in (None, in_channels):
        raise GeometryError(f"a pooling keeps the number of channels: leave out_channels {out_channels} out")
    axes: tuple[AxisArithmetic, ...]
    if kind == "pooling":
        assert not isinstance(padding, str)
        pools = pooling_windows(
            dimensions, kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
        )
        axes = tuple(_read_axis(n, w) for n, w in zip(input_sizes, pools, strict=True))
    else:
        every = 1 if stride is None else stride
        steps = windows(dimensions, kernel_size, stride=every, padding=padding, dilation=dilation)
        if kind == "convolution":
            axes = tuple(_read_axis(n, w) for n, w in zip(input_sizes, steps, strict=True))
        else:
            extra = per_axis("output_padding", output_padding, dimensions)
            axes = tuple(
                _written_axis(n, TransposedWindow(window=w, output_padding=e))
                for n, w, e in zip(input_sizes, steps, extra, strict=True)
            )
    cost, units_cost, dense_cost = _costs(kind, axes, in_channels, out_channels, groups, bias)
    return LayerArithmetic(
        kind=kind,
        axes=axes,
        in_channels=in_channels,
        out_channels=in_channels if kind == "pooling" else out_channels,
        groups=groups,
        cost=cost,
        units_cost=units_cost,
        dense_cost=dense_cost,
    )


def require_whole(layer: LayerArithmetic) -> None:
    """Check that no axis rounds down and that every pixel is read: the lecture's "the result must be a whole number".

    Raises:
        GeometryError: an axis leaves something over; the message has what would fit.

    >>> require_whole(work_out((64,), 3, stride=2))
    Traceback (most recent call last):
    ...
    convscope.errors.GeometryError: (64 − 3) / 2 + 1 is not a whole number: 1 position is left over on an axis of 64, \
and 1 pixel is never read; an axis of 63 or 65 fits, or 1 more cell of padding on one side
    """
    for axis in layer.axes:
        window, over, lost = axis.window, axis.remainder, len(axis.never_read)
        are = "is" if lost == 1 else "are"
        if axis.never_read and axis.never_read[0] < axis.input_size - over:
            raise GeometryError(
                f"{lost} of {axis.input_size} positions {are} never read: the stride {window.stride} steps over them; "
                f"use a kernel of {window.stride} or more without dilation, or a smaller stride"
            )
        if over:
            short = window.stride - over
            padding = "".join(f" + {p}" for p in window.padding if p)
            fits = f"{axis.input_size - over} or {axis.input_size + short}"
            raise GeometryError(
                f"({axis.input_size}{padding} − {window.span}) / {window.stride} + 1 is not a whole number: "
                f"{over} position{'s are' if over > 1 else ' is'} left over on an axis of {axis.input_size}, and "
                f"{lost or 'no'} pixel{'s are' if lost > 1 else ' is'} never read; an axis of {fits} fits, "
                f"or {short} more cell{'s' if short > 1 else ''} of padding on one side"
            )


def _require_settings_of(
    kind: LayerKind, *, padding: object, output_padding: int | Sequence[int], ceil_mode: bool, groups: int
) -> None:
    if output_padding != 0 and kind != "transposed convolution":
        raise GeometryError(f"output_padding belongs to transposed convolution, not to {kind}")
    if ceil_mode and kind != "pooling":
        raise GeometryError(f"ceil_mode belongs to pooling, not to {kind}")
    if groups != 1 and kind == "pooling":
        raise GeometryError("groups belong to convolutions: pooling keeps every channel apart")
    if isinstance(padding, str) and (kind == "pooling" or (padding != "valid" and kind != "convolution")):
        raise GeometryError(f"padding '{padding}' belongs to convolution, not to {kind}: give the padding as a number")


def _read_axis(input_size: int, window: Window) -> AxisArithmetic:
    reads = [0] * input_size
    for start in window.starts(input_size):
        for tap in _clipped(start, window, input_size):
            reads[tap] += 1
    return AxisArithmetic(
        input_size=input_size,
        output_size=window.output_size(input_size),
        formula=window.formula(input_size),
        remainder=0 if window.ceil_mode else window.remainder(input_size),
        never_read=tuple(i for i, count in enumerate(reads) if not count),
        bias_only=(),
        uses=(min(reads), max(reads)),
        window=window,
    )


def _written_axis(input_size: int, transposed: TransposedWindow) -> AxisArithmetic:
    window, output_size = transposed.window, transposed.output_size(input_size)
    written, uses = [0] * output_size, []
    for i in range(input_size):
        taps = _clipped(i * window.stride - window.padding_before, window, output_size)
        uses.append(len(taps))
        for tap in taps:
            written[tap] += 1
    return AxisArithmetic(
        input_size=input_size,
        output_size=output_size,
        formula=transposed.formula(input_size),
        remainder=0,
        never_read=tuple(i for i, count in enumerate(uses) if not count),
        bias_only=tuple(u for u, count in enumerate(written) if not count),
        uses=(min(uses), max(uses)),
        window=window,
    )


def _clipped(start: int, window: Window, size: int) -> range:
    """Return the window's taps that lie on the axis."""
    first = start if start >= 0 else start % window.dilation
    return range(first, min(start + window.span, size), window.dilation)


def _costs(
    kind: LayerKind,
    axes: Sequence[AxisArithmetic],
    in_channels: int | None,
    out_channels: int | None,
    groups: int,
    bias: bool,
) -> tuple[Cost | None, Cost | None, Cost | None]:
    if kind == "pooling":
        return Cost(0, 0, 0), None, None
    if in_channels is None or out_channels is None:
        return None, None, None
    require_groups(in_channels, out_channels, groups)
    kernels = [axis.window.kernel_size for axis in axes]
    inputs, outputs = [axis.input_size for axis in axes], [axis.output_size for axis in axes]
    if kind == "convolution":
        cost = convolution_cost(in_channels, out_channels, kernels, outputs, groups=groups, bias=bias)
    else:
        cost = transposed_convolution_cost(in_channels, out_channels, kernels, inputs, groups=groups, bias=bias)
    features = in_channels * prod(inputs)
    units_cost = linear_cost(features, out_channels, bias=bias)
    return cost, units_cost, linear_cost(features, out_channels * prod(outputs), bias=bias)

"""`size`: one layer worked out, with its formulas. No torch is imported here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from convscope.api.annotations import Positive
from convscope.api.public import public
from convscope.errors import GeometryError
from convscope.geometry.axis_names import axis_names
from convscope.geometry.cost import Cost
from convscope.geometry.layer import AxisArithmetic, LayerArithmetic, LayerKind, require_whole, work_out
from convscope.report import units
from convscope.report.document import Block, Document, Fact, Facts, Paragraph
from convscope.report.documented import Documented
from convscope.report.table import Column, Table

FEW = 6  # this many positions are listed one by one

# Sides, kernels, strides, ... in pixels; and windows times their pixels along an axis.
LARGEST_NUMBER = 1_000_000
MOST_TAPS = 50_000_000


@dataclass(frozen=True, eq=False, repr=False)
class LayerSize(Documented):
    """One layer worked out: `arithmetic` has the numbers, `print` shows how they come about."""

    arithmetic: LayerArithmetic

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The output's sizes, with the channels in front if they are known."""
        return self.arithmetic.output_shape

    @property
    def parameters(self) -> int | None:
        """Weights and biases; None where the channels were not given."""
        return None if self.arithmetic.cost is None else self.arithmetic.cost.parameters

    @property
    def macs(self) -> int | None:
        """Multiply-adds of one sample; None where the channels were not given."""
        return None if self.arithmetic.cost is None else self.arithmetic.cost.macs

    def headline(self) -> str:
        """Return the layer, and its input and output."""
        layer = self.arithmetic
        return f"{_named(layer)}: {units.shape(layer.input_shape)} to {units.shape(layer.output_shape)}"

    def to_dict(self) -> dict[str, Any]:
        """Return the layer as JSON's types; sizes in pixels, costs for one sample.

        Keys:
            kind: convolution, transposed convolution or pooling.
            input_size: positions read, per axis.
            output_size: positions made, per axis.
            output_shape: the same with the channels in front; null where they were not given.
            pixels_never_read: of each channel.
            axes: of each axis the sizes, the formula, what is left over, what is never read, and the settings.
            in_channels: channels read, or null.
            out_channels: channels made, or null.
            groups: channel groups.
            layer: its parameters and MACs, or null.
            fully_connected_units: those of as many fully connected units as it has filters.
            fully_connected_outputs: those of a fully connected unit for every output.
        """

        def cost(c: Cost | None) -> dict[str, int] | None:
            return None if c is None else {"parameters": c.parameters, "macs": c.macs}

        layer = self.arithmetic
        return {
            "kind": layer.kind,
            "input_size": list(layer.input_sizes),
            "output_size": list(layer.output_sizes),
            "output_shape": None if layer.out_channels is None else list(layer.output_shape),
            "pixels_never_read": layer.pixels_never_read,
            "axes": [
                {
                    "input_size": axis.input_size,
                    "output_size": axis.output_size,
                    "formula": axis.formula,
                    "remainder": axis.remainder,
                    "never_read": list(axis.never_read),
                    "bias_only": list(axis.bias_only),
                    "kernel_size": axis.window.kernel_size,
                    "stride": axis.window.stride,
                    "padding": list(axis.window.padding),
                    "dilation": axis.window.dilation,
                }
                for axis in layer.axes
            ],
            "in_channels": layer.in_channels,
            "out_channels": layer.out_channels,
            "groups": layer.groups,
            "layer": cost(layer.cost),
            "fully_connected_units": cost(layer.units_cost),
            "fully_connected_outputs": cost(layer.dense_cost),
        }

    def document(self) -> Document:
        """Return what is shown: how each number comes about, and the costs beside those of fully connected layers."""
        layer = self.arithmetic
        blocks: list[Block] = [Facts(tuple(Fact(name, text) for name, text in _lines(layer)))]
        if layer.units_cost is not None and layer.dense_cost is not None and layer.cost is not None:
            blocks.append(_rivals(layer, layer.cost, layer.units_cost, layer.dense_cost))
        elif layer.kind != "pooling":
            blocks.append(Paragraph("Give the channels, in and out, for the output's depth, parameters and MACs."))
        title = f"{_named(layer)} on {units.shape(layer.input_shape)}"
        return Document(title, tuple(blocks), footer="Made by convscope size.")


@public
def size(
    input_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    *,
    kind: LayerKind = "convolution",
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] | Literal["same", "valid"] = 0,
    dilation: int | Sequence[int] = 1,
    output_padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    in_channels: Positive | None = None,
    out_channels: Positive | None = None,
    groups: Positive = 1,
    bias: bool = True,
    strict: bool = False,
) -> LayerSize:
    """Work out one layer: its output size with the formula, the pixels that are never read, parameters and MACs.

    Args:
        input_size: of the spatial axes; one number means a square image.
        kernel_size: one number, or one per axis; so are the stride, the padding and the dilation.
        kind: of the layer.
        stride: 1, or a pooling's kernel, unless given.
        padding: zeros on each side, or "same", or "valid".
        dilation: distance between neighbouring taps.
        output_padding: extra output cells of a transposed convolution.
        ceil_mode: whether a pooling rounds up.
        in_channels: channels read; with the next one also parameters and MACs are worked out.
        out_channels: filters.
        groups: channel groups.
        bias: whether each filter has one.
        strict: refuse a layer whose division leaves something over, or that never reads a pixel.

    Raises:
        GeometryError: a kernel that does not fit, settings of another kind of layer, groups that do not divide.

    >>> found = size(224, 7, stride=2, padding=3, in_channels=3, out_channels=64)
    >>> found.output_shape, found.parameters, found.macs
    ((64, 112, 112), 9472, 118013952)
    """
    if kind != "pooling" and (in_channels is None) != (out_channels is None):
        missing = "in_channels" if in_channels is None else "out_channels"
        raise GeometryError(f"parameters and MACs need both channel counts: give {missing} too")
    sizes = (input_size, input_size) if isinstance(input_size, int) else tuple(input_size)
    if not 1 <= len(sizes) <= 3:
        raise GeometryError(f"input_size has {len(sizes)} axes: give 1 to 3, and the channels as in_channels")
    if min(sizes) < 1:
        raise GeometryError(f"input_size is {min(sizes)}: it must be at least 1")
    _require_listable(sizes, input_size=sizes, kernel_size=kernel_size, stride=stride, padding=padding,
                      dilation=dilation, output_padding=output_padding)  # fmt: skip
    if kind == "pooling" and isinstance(padding, str):
        raise GeometryError(f"padding {padding!r} belongs to convolutions: give a pooling a number")
    layer = work_out(
        sizes, kernel_size, kind=kind, stride=stride, padding=padding, dilation=dilation, output_padding=output_padding,
        ceil_mode=ceil_mode, in_channels=in_channels, out_channels=out_channels, groups=groups, bias=bias,
    )  # fmt: skip
    if strict:
        require_whole(layer)
    return LayerSize(layer)


def _require_listable(sizes: Sequence[int], **numbers: int | Sequence[int] | str | None) -> None:
    """Raise GeometryError where the pixels that are read are too many to be listed one by one."""
    largest = {
        name: max((value,) if isinstance(value, int) else value, default=0)
        for name, value in numbers.items()
        if value is not None and not isinstance(value, str)
    }
    for name, value in largest.items():
        if value > LARGEST_NUMBER:
            raise GeometryError(f"{name.replace('_', ' ')} is {value:,}: give {LARGEST_NUMBER:,} at most")
    pixels = max(sizes) + 2 * largest.get("padding", 0)
    if pixels * largest["kernel_size"] > MOST_TAPS:
        raise GeometryError(
            f"windows of {largest['kernel_size']:,} on {pixels:,} pixels are too many to list: give fewer"
        )


def _lines(layer: LayerArithmetic) -> Iterator[tuple[str, str]]:
    names = axis_names(len(layer.axes))
    yield "output", _output(layer)
    if len(set(layer.axes)) == 1:
        yield "formula", layer.axes[0].formula
    else:
        yield from ((f"  {name}", axis.formula) for name, axis in zip(names, layer.axes, strict=True))
    yield from _leftover(layer)
    yield "never read", _never_read(layer, names)
    if any(axis.bias_only for axis in layer.axes):
        yield "bias alone", _listed(layer.axes, names, "bias_only") + " of the output get no input"
    least, most = (prod(axis.uses[end] for axis in layer.axes) for end in (0, 1))
    verb = "goes into" if layer.kind == "transposed convolution" else "is in"
    what = units.plural(most, "output" if layer.kind == "transposed convolution" else "window")
    yield "each pixel", f"{verb} {what}" if least == most else f"{verb} {least} to {what}"
    yield from _cost_lines(layer)


def _named(layer: LayerArithmetic) -> str:
    windows = [axis.window for axis in layer.axes]
    text = f"{layer.kind} {units.shape([w.kernel_size for w in windows])}"
    text += f", stride {units.per_axis([w.stride for w in windows])}"
    before, after = [w.padding_before for w in windows], [w.padding_after for w in windows]
    if any(before) or any(after):
        text += f", padding {units.per_axis(before)}"
        text += "" if before == after else f" before and {units.per_axis(after)} after"
    if any(w.dilation > 1 for w in windows):
        text += f", dilation {units.per_axis([w.dilation for w in windows])}"
    return text + (f", {layer.groups} groups" if layer.groups > 1 else "")


def _output(layer: LayerArithmetic) -> str:
    shape = units.shape(layer.output_shape)
    if layer.out_channels is None:
        return shape
    depth = "the depth, as that of the input" if layer.kind == "pooling" else "the depth, one for each filter"
    maps, values = units.plural(layer.out_channels, "channel"), units.plural(prod(layer.output_shape), "value")
    return f"{shape}: {maps} ({depth}), {values}"


def _leftover(layer: LayerArithmetic) -> list[tuple[str, str]]:
    remainders = [axis.remainder for axis in layer.axes]
    if not any(remainders):
        return []
    pixels = layer.pixels_never_read
    lost = "all of it padding: no pixel is lost" if not pixels else "pixels among them are lost"
    where = "on each axis" if len(set(remainders)) == 1 and len(remainders) > 1 else "of the padded axis"
    return [("left over", f"{units.per_axis(remainders)} {where}, as the division rounds down; {lost}")]


def _never_read(layer: LayerArithmetic, names: Sequence[str]) -> str:
    if not layer.pixels_never_read:
        return "nothing: every pixel is read"
    share = layer.pixels_never_read / prod(layer.input_sizes)
    pixels = units.plural(layer.pixels_never_read, "pixel")
    return f"{_listed(layer.axes, names, 'never_read')}: {pixels} of each channel, {units.percent(share)}"


def _listed(axes: Sequence[AxisArithmetic], names: Sequence[str], which: str) -> str:
    parts = []
    for axis, name in zip(axes, names, strict=True):
        positions: tuple[int, ...] = axis.never_read if which == "never_read" else axis.bias_only
        if positions:
            noun = name if len(positions) > 1 else name.removesuffix("s")
            shown = ", ".join(map(str, positions[:FEW])) + (", …" if len(positions) > FEW else "")
            parts.append(f"{noun} {shown}" + (f" ({len(positions)} {name})" if len(positions) > FEW else ""))
    return "; ".join(parts)


def _cost_lines(layer: LayerArithmetic) -> list[tuple[str, str]]:
    if layer.cost is None:
        return []
    if layer.kind == "pooling":
        return [("parameters", "0"), ("MACs", "0 (it compares or adds, and multiplies nothing)")]
    assert layer.in_channels is not None and layer.out_channels is not None
    kernels = "·".join(str(axis.window.kernel_size) for axis in layer.axes)
    # A transposed convolution uses each weight once per input position, a convolution once per output position.
    transposed = layer.kind == "transposed convolution"
    places = "·".join(map(str, layer.input_sizes if transposed else layer.output_sizes))
    shared = f"({layer.in_channels}/{layer.groups})" if layer.groups > 1 else f"{layer.in_channels}"
    weights = f"{layer.out_channels}·{shared}·{kernels}"
    bias = f" + {layer.cost.biases}" if layer.cost.biases else ""
    return [
        ("parameters", f"{units.exact(layer.cost.parameters)} = {weights}{bias}"),
        ("MACs", f"{units.exact(layer.cost.macs)} = {weights} · {places}"),
    ]


def _rivals(layer: LayerArithmetic, own: Cost, units_cost: Cost, dense_cost: Cost) -> Table:
    columns = [Column("on the same input"), Column("parameters", True), Column("MACs", True), Column("", True)]
    outputs = (layer.out_channels or 0) * prod(layer.output_sizes)
    rivals = (
        (f"this {layer.kind}", own),
        (units.plural(layer.out_channels or 0, "fully connected unit"), units_cost),
        (f"{units.exact(outputs)} of them, one per output", dense_cost),
    )
    rows = [
        (name, units.exact(cost.parameters), units.exact(cost.macs),
         "" if cost is own else units.times(cost.parameters / own.parameters) + " the parameters")
        for name, cost in rivals
    ]  # fmt: skip
    return Table.of(columns, rows)

"""`convscope size`: one layer's sizes and costs, worked out."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from math import prod
from typing import Literal

import click

from convscope.cli.output import echo
from convscope.errors import GeometryError
from convscope.geometry.axis_names import axis_names
from convscope.geometry.cost import Cost
from convscope.geometry.layer import AxisArithmetic, LayerArithmetic, LayerKind, require_whole, work_out
from convscope.report import units
from convscope.report.table import Column, Table, print_table

JSON_VERSION = 1
FEW = 6  # this many positions are listed one by one


def _numbers(name: str, text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d+([x×,]\d+)*", text):
        raise GeometryError(f"{name} must be a whole number, or one per axis like 3x5; got {text!r}")
    return tuple(int(part) for part in re.split("[x×,]", text))


def _padding(text: str) -> Literal["same", "valid"] | tuple[int, ...]:
    if text == "same":
        return "same"
    if text == "valid":
        return "valid"
    return _numbers("--padding", text)


@click.command(epilog="Example: convscope size 224 --kernel 7 --stride 2 --padding 3 --in-channels 3 --out-channels 64")
@click.argument("size", metavar="INPUT")
@click.option("--kernel", "-k", required=True, help="Kernel size: 3, or 1x7 per axis.")
@click.option("--stride", "-s", help="Stride; 1 unless given, or the kernel for --pool.")
@click.option("--padding", "-p", default="0", show_default=True, help="Cells on each side, or 'same', or 'valid'.")
@click.option("--dilation", "-d", default="1", show_default=True, help="Distance between neighbouring taps.")
@click.option("--in-channels", "-i", type=click.IntRange(1), help="Channels read, for parameters and MACs.")
@click.option("--out-channels", "-o", type=click.IntRange(1), help="Filters, for parameters and MACs.")
@click.option("--groups", "-g", type=click.IntRange(1), default=1, show_default=True, help="Channel groups.")
@click.option("--no-bias", is_flag=True, help="Leave the bias out.")
@click.option("--transposed", is_flag=True, help="A transposed convolution.")
@click.option("--output-padding", default="0", show_default=True, help="Extra output cells, with --transposed.")
@click.option("--pool", is_flag=True, help="A pooling: no weights, stride of the kernel.")
@click.option("--ceil-mode", is_flag=True, help="Round up, with --pool.")
@click.option("--dimensions", type=click.IntRange(1, 3), help="Spatial axes; as many as INPUT has, or 2.")
@click.option("--strict", is_flag=True, help="Fail when the division leaves something over or pixels are never read.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    size: str,
    kernel: str,
    stride: str | None,
    padding: str,
    dilation: str,
    in_channels: int | None,
    out_channels: int | None,
    groups: int,
    no_bias: bool,
    transposed: bool,
    output_padding: str,
    pool: bool,
    ceil_mode: bool,
    dimensions: int | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Work out one layer: output size, pixels never read, parameters and MACs.

    INPUT is a size in pixels: 224 (square), 224x320, or 16x112x112 for three axes.
    """
    if transposed and pool:
        raise GeometryError("a layer is either --transposed or --pool, not both")
    kind: LayerKind = "transposed convolution" if transposed else "pooling" if pool else "convolution"
    if kind != "pooling" and (in_channels is None) != (out_channels is None):
        missing = "--in-channels" if in_channels is None else "--out-channels"
        raise GeometryError(f"parameters and MACs need both channel counts: give {missing} too")
    layer = work_out(
        _input_sizes(size, dimensions),
        _numbers("--kernel", kernel),
        kind=kind,
        stride=None if stride is None else _numbers("--stride", stride),
        padding=_padding(padding),
        dilation=_numbers("--dilation", dilation),
        output_padding=_numbers("--output-padding", output_padding) if output_padding != "0" else 0,
        ceil_mode=ceil_mode,
        in_channels=in_channels,
        out_channels=out_channels,
        groups=groups,
        bias=not no_bias,
    )
    if strict:
        require_whole(layer)
    if as_json:
        click.echo(json.dumps(as_dict(layer), indent=2))
    else:
        _print(layer)


def _input_sizes(text: str, dimensions: int | None) -> tuple[int, ...]:
    sizes = _numbers("INPUT", text)
    if min(sizes) < 1:
        raise GeometryError(f"INPUT must be at least 1; got {text}")
    if len(sizes) == 1:
        return sizes * (dimensions or 2)
    if len(sizes) > 3 or (dimensions is not None and len(sizes) != dimensions):
        raise GeometryError(
            f"INPUT {text} has {len(sizes)} axes, but a layer here has {dimensions or '1 to 3'}: give the spatial "
            "sizes alone, and channels with --in-channels"
        )
    return sizes


def as_dict(layer: LayerArithmetic) -> dict[str, object]:
    """Return the layer as JSON-able values; sizes in pixels, costs for one sample."""

    def cost(c: Cost | None) -> dict[str, int] | None:
        return None if c is None else {"parameters": c.parameters, "macs": c.macs}

    return {
        "version": JSON_VERSION,
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


def _print(layer: LayerArithmetic) -> None:
    echo(f"{_named(layer)} on {units.shape(layer.input_shape)}\n")
    names = axis_names(len(layer.axes))
    lines = [("output", _output(layer))]
    if len(set(layer.axes)) == 1:
        lines.append(("formula", layer.axes[0].formula))
    else:
        lines += [(f"  {name}", axis.formula) for name, axis in zip(names, layer.axes, strict=True)]
    lines += _leftover(layer)
    lines.append(("never read", _never_read(layer, names)))
    if any(axis.bias_only for axis in layer.axes):
        lines.append(("bias alone", _listed(layer.axes, names, "bias_only") + " of the output get no input"))
    least, most = (prod(axis.uses[end] for axis in layer.axes) for end in (0, 1))
    verb = "goes into" if layer.kind == "transposed convolution" else "is in"
    what = units.plural(most, "output" if layer.kind == "transposed convolution" else "window")
    lines.append(("each pixel", f"{verb} {what}" if least == most else f"{verb} {least} to {what}"))
    lines += _cost_lines(layer)
    for label, value in lines:
        echo(f"{label:<12}{value}")
    if layer.units_cost is not None and layer.dense_cost is not None and layer.cost is not None:
        echo("")
        _print_rivals(layer, layer.cost, layer.units_cost, layer.dense_cost)
    elif layer.kind != "pooling":
        echo("\nGive --in-channels and --out-channels for the output's depth, parameters and MACs.")


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


def _print_rivals(layer: LayerArithmetic, own: Cost, units_cost: Cost, dense_cost: Cost) -> None:
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
    print_table(Table.of(columns, rows))

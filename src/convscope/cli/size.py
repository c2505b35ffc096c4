"""`convscope size`: one layer's sizes and costs, worked out."""

from __future__ import annotations

import json
import re
from typing import Literal

import click

from convscope.errors import GeometryError
from convscope.files.fields import in_short
from convscope.report.terminal import print_document

JSON_VERSION = 1


def _numbers(name: str, text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d{1,18}([x×,]\d{1,18})*", text):
        raise GeometryError(f"{name} must be a whole number, or one per axis like 3x5; got {in_short(text)}")
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
    from convscope.interpret.layer_size import size as worked_out

    if transposed and pool:
        raise GeometryError("a layer is either --transposed or --pool, not both")
    found = worked_out(
        _input_sizes(size, dimensions),
        _numbers("--kernel", kernel),
        kind="transposed convolution" if transposed else "pooling" if pool else "convolution",
        stride=None if stride is None else _numbers("--stride", stride),
        padding=_padding(padding),
        dilation=_numbers("--dilation", dilation),
        output_padding=_numbers("--output-padding", output_padding) if output_padding != "0" else 0,
        ceil_mode=ceil_mode,
        in_channels=in_channels,
        out_channels=out_channels,
        groups=groups,
        bias=not no_bias,
        strict=strict,
    )
    if as_json:
        click.echo(json.dumps({"version": JSON_VERSION, **found.to_dict()}, indent=2))
    else:
        print_document(found.document())


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

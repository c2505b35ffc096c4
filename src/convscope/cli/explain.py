"""`convscope explain`: the computation of one number in a network."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convscope.cli.echo import echo, write_output
from convscope.errors import GeometryError

if TYPE_CHECKING:
    from convscope.interpret.explanation.record import Explanation

JSON_VERSION = 1
EPILOG = "Example: convscope explain lenet5 digits/7 --layer c3 --channel 5 --at 4,4"


@click.command("explain", epilog=EPILOG)
@click.argument("model", required=False)
@click.argument("given", metavar="[INPUT]", required=False)
@click.option("--layer", help="A layer's name as inspect prints it: layer1.0.conv1, layer1.0:add.")
@click.option("--channel", type=int, default=0, show_default=True, help="Which feature map, or which unit.")
@click.option("--at", default="", metavar="Y,X",
              help="Where on the map; X alone in a 1-D network, D,Y,X in a 3-D one.")  # fmt: skip
@click.option("--input", "input_text", help="The input's shape, such as 3x224x224, where the model does not say it.")
@click.option("--depth", type=click.IntRange(0), default=0, show_default=True,
              help="Explain the largest contributor too, this many steps down.")  # fmt: skip
@click.option("--pixels", is_flag=True, help="Go down to the input, however deep.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of random weights, for a model without its own.")
@click.option("--html", "html_path", type=click.Path(dir_okay=False, path_type=Path), help="Write a page.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--demo", type=click.Choice(["edges"]), help="A first lesson instead: edge detection.")
def command(
    model: str | None,
    given: str | None,
    layer: str | None,
    channel: int,
    at: str,
    input_text: str | None,
    depth: int,
    pixels: bool,
    seed: int,
    html_path: Path | None,
    as_json: bool,
    demo: str | None,
) -> None:
    """Work out one number in MODEL for INPUT: patch, kernel, products, sum, bias, activation.

    MODEL is a name from `convscope models`, file.py:factory, package.module:factory, a run directory, or timm/NAME.
    INPUT is an image file, or digits/0 to digits/1796 for the built-in digits; a WAV file for a 1-D network; an array
    file (.npy, .npz) of one sample for any network.
    """
    if demo is not None:
        _edges(html_path, as_json)
        return
    if model is None or given is None or layer is None:
        missing = next(
            name for name, value in (("MODEL", model), ("INPUT", given), ("--layer", layer)) if value is None
        )
        raise click.UsageError(f"{missing} is missing. {EPILOG}; or: convscope explain --demo edges")
    from convscope.interpret.explanation.explain import explain

    found = explain(
        model, given, layer=layer, channel=channel, at=_place(at), input_shape=_shape(input_text), seed=seed
    )
    chain = found.to_pixels(None if pixels else depth)
    if html_path is not None:
        _write_page(found, html_path, None if pixels else depth)
    if as_json:
        cells = [_in_json(one.to_dict()) for one in chain]
        click.echo(json.dumps({"version": JSON_VERSION, "cells": cells}, indent=1, allow_nan=False))
        return
    for number, one in enumerate(chain):
        if number:
            echo(f"\n{'─' * 40}\n")
        echo(str(one))
    if html_path is not None:
        echo(f"\nwrote {html_path}")


def _in_json(value: Any) -> Any:
    """Return a value with "inf", "-inf" and "nan" in place of such numbers, which JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {name: _in_json(inner) for name, inner in value.items()}
    return [_in_json(inner) for inner in value] if isinstance(value, list) else value


def _write_page(found: Explanation, path: Path, depth: int | None) -> None:
    from convscope.interpret.explanation.page import DOWN, explanation_page

    write_output(path, explanation_page(found, depth=None if depth is None else max(depth, DOWN)), parents=True)


def _edges(html_path: Path | None, as_json: bool) -> None:
    from convscope.interpret.explanation.edges import edges_dict, edges_page, edges_text

    if html_path is not None:
        write_output(html_path, edges_page(), parents=True)
    click.echo(json.dumps({"version": JSON_VERSION, **edges_dict()}, indent=1) if as_json else edges_text())
    if html_path is not None and not as_json:
        echo(f"\nwrote {html_path}")


def _place(text: str) -> tuple[int, ...]:
    if not text:
        return ()
    if not re.fullmatch(r"-?\d+(,-?\d+)*", text):
        raise GeometryError(f"--at must be whole numbers with commas, such as 3,4; got {text!r}")
    return tuple(int(part) for part in text.split(","))


def _shape(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    if not re.fullmatch(r"\d+([x×,]\d+)*", text):
        raise GeometryError(f"--input must be a shape such as 3x224x224; got {text!r}")
    return tuple(int(part) for part in re.split("[x×,]", text))

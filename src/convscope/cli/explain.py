"""`convscope explain`: the computation of one number in a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convscope.cli.deadline import with_deadline, within
from convscope.cli.given_options import given_options, take_only
from convscope.cli.output import echo, write_output
from convscope.cli.own_code import code_options, with_code
from convscope.cli.position import position_of
from convscope.cli.seed import SEED

if TYPE_CHECKING:
    from convscope.interpret.explanation.record import Explanation

JSON_VERSION = 1
EPILOG = "Example: convscope explain lenet5 digits/7 --layer c3 --channel 5 --at 4,4"


@click.command("explain", epilog=EPILOG)
@click.argument("model", required=False)
@click.argument("given", metavar="[INPUT]", required=False)
@click.option("--layer", help="A layer's name as inspect prints it: layer1.0.conv1, layer1.0:add.")
@click.option("--channel", type=int, default=0, show_default=True, help="Feature map, or unit, from 0.")
@click.option("--at", default="", metavar="Y,X",
              help="Position on the map; X alone in a 1-D network, D,Y,X in a 3-D one.")  # fmt: skip
@click.option("--input", "input_text", help="The input's shape, such as 3x224x224, if the model has none.")
@click.option("--depth", type=click.IntRange(0), default=0, show_default=True,
              help="Explain the largest contributor too, this many steps down.")  # fmt: skip
@click.option("--pixels", is_flag=True, help="Continue down to the input.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of random weights, if the model has none.")
@code_options
@with_deadline
@click.option("--html", "html_path", type=click.Path(dir_okay=False, path_type=Path), help="Write a page.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--demo", type=click.Choice(["edges"]), help="Show a lesson instead: edge detection.")
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
    code: str,
    trust_code: bool,
    deadline: float,
    html_path: Path | None,
    as_json: bool,
    demo: str | None,
) -> None:
    """Work out one number in MODEL for INPUT: patch, kernel, products, sum, bias, activation.

    MODEL is a name from `convscope models`, file.py:factory, package.module:factory, model.onnx, a run, or timm/NAME.
    INPUT is an image file, or digits/0 to digits/1796 for the built-in digits; a WAV file for a 1-D network; an array
    file (.npy, .npz) of one sample for any network.
    """
    if demo is not None:
        take_only("--demo shows a lesson", ("demo", "html_path", "as_json"))
        _edges(html_path, as_json)
        return
    if model is None or given is None or layer is None:
        missing = next(
            name for name, value in (("MODEL", model), ("INPUT", given), ("--layer", layer)) if value is None
        )
        raise click.UsageError(f"{missing} is missing. {EPILOG}; or: convscope explain --demo edges")
    if pixels and any(parameter.name == "depth" for parameter in given_options()):
        raise click.UsageError("--depth and --pixels both say how far down to explain: choose one")
    from convscope.capture.input_text import parse_shape
    from convscope.interpret.explanation.explain import explain
    from convscope.report.json_values import in_json, json_text

    with within(deadline, model):
        found = explain(
            with_code(model, code, trust_code),
            given,
            layer=layer,
            channel=channel,
            at=position_of(at) if at else (),
            input_shape=None if input_text is None else parse_shape(input_text),
            seed=seed,
        )
    chain = found.to_pixels(None if pixels else depth)
    if html_path is not None:
        _write_page(found, html_path, None if pixels else depth)
    if as_json:
        cells = [in_json(one.to_dict()) for one in chain]
        click.echo(json_text({"version": JSON_VERSION, "cells": cells}))
        return
    for number, one in enumerate(chain):
        if number:
            echo(f"\n{'─' * 40}\n")
        echo(str(one))
    if html_path is not None:
        echo(f"\nwrote {html_path}")


def _write_page(found: Explanation, path: Path, depth: int | None) -> None:
    from convscope.interpret.explanation.record import DOWN

    write_output(path, found.to_html(depth=None if depth is None else max(depth, DOWN)), parents=True)


def _edges(html_path: Path | None, as_json: bool) -> None:
    from convscope.interpret.explanation.edges import edges_dict, edges_document
    from convscope.report.html import document_page
    from convscope.report.terminal import document_text

    document = edges_document()
    if html_path is not None:
        write_output(html_path, document_page(document), parents=True)
    lesson = json.dumps({"version": JSON_VERSION, **edges_dict()}, indent=1) if as_json else document_text(document)
    click.echo(lesson)
    if html_path is not None and not as_json:
        echo(f"\nwrote {html_path}")

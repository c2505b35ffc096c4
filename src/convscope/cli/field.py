"""`convscope field MODEL --layer L --at Y,X`: the pixels that a cell depends on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import click

from convscope.cli.deadline import with_deadline, within
from convscope.cli.output import echo, write_output
from convscope.cli.own_code import code_options, with_code
from convscope.errors import CaptureError
from convscope.files.writable import require_folder_of


@click.command()
@click.argument("model")
@click.option("--layer", required=True, help="Layer that holds the cell, as `convscope inspect` names it.")
@click.option("--at", metavar="Y,X",
              help="The cell, the middle one unless given; X alone in a 1-D network, D,Y,X in a 3-D one.")  # fmt: skip
@click.option("--channel", type=int, help="One channel; all together unless given.")
@click.option("--from", "source", metavar="LAYER", help="Show the field on this layer's output, not on the image.")
@click.option("--pixel", metavar="Y,X",
              help="Show the cells of the layer that this pixel of the input can change.")  # fmt: skip
@click.option("--input", "-i", "inputs", multiple=True, metavar="SHAPE", help="Shape of one sample, like 3x224x224.")
@code_options
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Draw it.")
@with_deadline
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the mask.")
def command(
    model: str,
    layer: str,
    at: str | None,
    channel: int | None,
    source: str | None,
    pixel: str | None,
    inputs: tuple[str, ...],
    code: str,
    trust_code: bool,
    svg: Path | None,
    deadline: float,
    as_json: bool,
) -> None:
    """Show the pixels that one cell depends on, or the cells that one pixel can change."""
    from convscope.capture.load import load
    from convscope.cli.inspect import input_shapes, say_batch, smallest_that_works
    from convscope.interpret.inspection.record import inspect
    from convscope.interpret.receptive_field import field, projective_field

    require_folder_of(svg)
    with within(deadline, model):
        loaded = load(with_code(model, code, trust_code))
        loaded.require_intact_weights()
        shapes = input_shapes(loaded, inputs)
        inspection = inspect(loaded.factory, shapes.inputs, name=loaded.name)
    if inspection.error:
        raise CaptureError(inspection.error + smallest_that_works(loaded, shapes, inspection.error))
    say_batch(shapes, "the field")
    if pixel is not None:
        _only_pixel({"--at": at, "--channel": channel, "--from": source, "--svg": svg})
        changed = projective_field(inspection, layer, _position(pixel, "--pixel"))
        if as_json:
            echo(json.dumps({"layer": layer, "changed": int(changed.sum()), "mask": changed.astype(int).tolist()}))
            return
        shape = "×".join(map(str, changed.shape))
        echo(f"pixel {pixel} can change {int(changed.sum()):,} of the {shape} positions of {layer}")
        return
    found = field(inspection, layer, None if at is None else _position(at, "--at"), channel=channel, source=source)
    if svg is not None:
        write_output(svg, found.svg)
        echo(f"wrote {svg}", err=True)
    click.echo(json.dumps(found.to_dict()) if as_json else str(found))


def _only_pixel(others: Mapping[str, object]) -> None:
    """Raise an error if options of a cell's receptive field are combined with that of a pixel's projective field."""
    given = [name for name, value in others.items() if value is not None]
    if given:
        raise click.UsageError(f"{given[0]} is about what a cell sees, --pixel about what a pixel changes: give one")


def _position(text: str, option: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[0-9]{1,18}(,[0-9]{1,18})*", text):
        raise CaptureError(f"{option} takes whole numbers like 12,30; got {text!r}")
    return tuple(map(int, text.split(",")))

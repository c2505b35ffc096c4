"""`convscope models [NAME]`: the history; year, paper, idea, parameters, published error. No torch is imported."""

from __future__ import annotations

from pathlib import Path

import click

from convscope.cli.output import echo, echo_json, write_output
from convscope.files.writable import require_folder_of
from convscope.nets import catalogue
from convscope.nets.models import models
from convscope.nets.timeline import ENTRANTS, other_figures, timeline_drawing, timeline_table
from convscope.report.table import print_table
from convscope.report.terminal import print_document


@click.command("models", epilog="Examples: convscope models resnet50; convscope models --timeline --svg years.svg")
@click.argument("name", required=False)
@click.option("--timeline", is_flag=True, help="Show the best ImageNet errors by year.")
@click.option("--svg", "svg_file", metavar="FILE", type=click.Path(path_type=Path),
              help="With --timeline: also draw it into FILE.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str | None, timeline: bool, svg_file: Path | None, as_json: bool) -> None:
    """List the networks that convscope builds, oldest first; NAME shows one of them."""
    if name is not None and timeline:
        raise click.UsageError("--timeline shows all years: leave NAME out")
    if svg_file is not None and not timeline:
        raise click.UsageError("--svg draws the years: add --timeline")
    if timeline:
        _show_timeline(svg_file, as_json=as_json)
        return
    found = models(name)
    if as_json:
        listed = found.to_dict()["models"]
        echo_json(listed if name is None else listed[0])
        return
    print_document(found.document())
    if name is None:
        echo("\nMore of one: convscope models resnet50     The ImageNet years: convscope models --timeline")


def _show_timeline(svg_file: Path | None, *, as_json: bool) -> None:
    require_folder_of(svg_file)
    if svg_file is not None:
        write_output(svg_file, timeline_drawing().document())
    if as_json:
        echo_json([entrant.to_dict() for entrant in ENTRANTS])
        return
    print_table(timeline_table({entry.name: entry.parameters for entry in catalogue.ENTRIES}))
    echo("\nOther figures that are quoted, and what they are:")
    for entrant, figures in other_figures():
        echo(f"  {entrant}: {figures}")
    if svg_file is not None:
        echo(f"\ndrawn into {svg_file}")

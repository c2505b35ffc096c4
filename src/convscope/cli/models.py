"""`convscope models [NAME]`: the history; year, paper, idea, parameters, published error. No torch is imported."""

from __future__ import annotations

import click

from convscope.cli.output import echo, echo_json, write_output
from convscope.nets import catalogue
from convscope.nets.entry import Entry
from convscope.nets.timeline import ENTRANTS, other_figures, timeline_drawing, timeline_table
from convscope.report import units
from convscope.report.table import Column, Table, print_table


@click.command("models", epilog="Examples: convscope models resnet50; convscope models --timeline --svg years.svg")
@click.argument("name", required=False)
@click.option("--timeline", is_flag=True, help="Show the best ImageNet errors by year.")
@click.option("--svg", "svg_file", metavar="FILE", help="With --timeline: also draw it into FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str | None, timeline: bool, svg_file: str | None, as_json: bool) -> None:
    """List the networks that convscope builds, oldest first; NAME shows one of them."""
    if name is not None and timeline:
        raise click.UsageError("--timeline shows all years: leave NAME out")
    if svg_file is not None and not timeline:
        raise click.UsageError("--svg draws the years: add --timeline")
    if timeline:
        _show_timeline(svg_file, as_json=as_json)
    elif name is not None:
        _show_one(catalogue.find(name), as_json=as_json)
    elif as_json:
        _print_json([entry.to_dict() for entry in catalogue.ENTRIES])
    else:
        _show_all()


def _show_all() -> None:
    columns = (
        Column("name"),
        Column("year"),
        Column("input"),
        Column("parameters", numeric=True),
        Column("layers", numeric=True),
        Column("idea"),
    )
    rows = [
        (
            entry.name,
            str(entry.year),
            units.shape(entry.input_shape),
            units.exact(entry.parameters),
            "" if entry.layers is None else str(entry.layers),
            entry.idea,
        )
        for entry in catalogue.ENTRIES
    ]
    print_table(Table.of(columns, rows))
    echo("\nMore of one: convscope models resnet50     The ImageNet years: convscope models --timeline")


def _show_timeline(svg_file: str | None, *, as_json: bool) -> None:
    if svg_file is not None:
        write_output(svg_file, timeline_drawing().document())
    if as_json:
        _print_json([entrant.to_dict() for entrant in ENTRANTS])
        return
    print_table(timeline_table({entry.name: entry.parameters for entry in catalogue.ENTRIES}))
    echo("\nOther figures that are quoted, and what they are:")
    for entrant, figures in other_figures():
        echo(f"  {entrant}: {figures}")
    if svg_file is not None:
        echo(f"\ndrawn into {svg_file}")


def _show_one(entry: Entry, *, as_json: bool) -> None:
    stages, options = catalogue.stages(entry), catalogue.options(entry)
    if as_json:
        table = [{"module": module, "output_shape": list(shape)} for module, shape in stages]
        kinds = [{"name": option.name, "kind": option.kind, "default": option.default} for option in options]
        _print_json({**entry.to_dict(), "options": kinds, "stages": table})
        return
    facts = {
        "paper": entry.paper,
        "input": units.shape(entry.input_shape),
        "classes": units.exact(entry.num_classes),
        "parameters": units.exact(entry.parameters),
        "layers": "" if entry.layers is None else str(entry.layers),
        "published error": entry.published_error or "",
        "settings": ", ".join(f"{name} {value}" for name, value in entry.settings),
        "options": "; ".join(f"{option.name}={option.default} ({option.kind})" for option in options),
    }
    echo(f"{entry.title}{f' ({entry.year})' if entry.year else ''}: {entry.idea}\n")
    for fact, value in facts.items():
        if value:
            echo(f"  {fact:<16} {value}")
    echo()
    if stages:
        print_table(Table.of([Column("stage"), Column("output")], [(module, units.shape(s)) for module, s in stages]))
    echo(f"\nTry: convscope inspect {entry.name}")
    if len(entry.image_size) == 2 and not entry.per_pixel:
        echo(f"     convscope train DATA --model {entry.name}")


def _print_json(value: object) -> None:
    echo_json(value)

"""`convscope models [NAME]`: the history; year, paper, idea, parameters, published error. No torch is imported."""

from __future__ import annotations

import json

import click

from convscope.nets import catalogue
from convscope.nets.entry import Entry


@click.command("models")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str | None, as_json: bool) -> None:
    """The networks that convscope builds, oldest first; NAME shows one of them."""
    if name is not None:
        _show_one(catalogue.find(name), as_json=as_json)
    elif as_json:
        click.echo(json.dumps([entry.to_dict() for entry in catalogue.ENTRIES], indent=2, ensure_ascii=False))
    else:
        _show_all()


def _show_all() -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name", no_wrap=True)
    table.add_column("year")
    table.add_column("input", no_wrap=True)
    table.add_column("parameters", justify="right", no_wrap=True)
    table.add_column("idea")
    for entry in catalogue.ENTRIES:
        shape = "x".join(map(str, entry.input_shape))
        table.add_row(entry.name, str(entry.year), shape, f"{entry.parameters:,}", entry.idea)
    Console().print(table)


def _show_one(entry: Entry, *, as_json: bool) -> None:
    stages = catalogue.stages(entry)
    if as_json:
        table = [{"module": module, "output_shape": list(shape)} for module, shape in stages]
        click.echo(json.dumps({**entry.to_dict(), "stages": table}, indent=2, ensure_ascii=False))
        return
    facts = {
        "paper": entry.paper,
        "input": "x".join(map(str, entry.input_shape)),
        "parameters": f"{entry.parameters:,}",
        "layers": "" if entry.layers is None else str(entry.layers),
        "published error": entry.published_error or "none in the paper",
    }
    click.echo(f"{entry.title} ({entry.year}): {entry.idea}\n")
    for fact, value in facts.items():
        if value:
            click.echo(f"  {fact:<16} {value}")
    click.echo("\n  stage            output")
    for module, shape in stages:
        click.echo(f"  {module:<16} {'x'.join(map(str, shape))}")
    click.echo(f"\nTry: convscope inspect {entry.name}")
    click.echo(f"     convscope train DATA --model {entry.name}")

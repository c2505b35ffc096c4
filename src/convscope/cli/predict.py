"""`convscope predict`: the classes of images, as a table, JSON or CSV."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convscope.cli.echo import echo
from convscope.report.csv_table import csv_text
from convscope.report.progress import shown_progress
from convscope.report.table import Column, Table, print_table
from convscope.report.units import percent, plural

if TYPE_CHECKING:
    from convscope.runs.predictor import Predictions

EXIT_UNREADABLE = 2
TOP = 3


@click.command("predict")
@click.argument("run")
@click.argument("images", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(1), help=f"Classes to show for each image  [{TOP}]")
@click.option(
    "--threshold", type=float, help="Of several labels, show those with this probability and more, 0 to 1  [0.5]"
)
@click.option("--device", default="cpu", show_default=True, help="Where the network runs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--csv", "as_csv", is_flag=True, help="Print CSV: image, class, confidence; of several labels every probability."
)
def command(
    run: str,
    images: tuple[str, ...],
    top: int | None,
    threshold: float | None,
    device: str,
    as_json: bool,
    as_csv: bool,
) -> int:
    """Name the class of IMAGES with RUN: files, folders (everything below them) or patterns like 'photos/*.jpg'.

    Images that can't be read are listed and stop nothing; the exit code is then 2.
    """
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()  # before torch is imported
    from convscope.runs.predictor import predict
    from convscope.runs.run_directory import open_run

    if as_json and as_csv:
        raise click.UsageError("--json and --csv are two forms of one result: choose one")
    if top is not None and open_run(Path(run)).spec().objective.multi_label:
        raise click.UsageError("--top: this run gives an image any number of labels: --threshold says which are shown")
    with shown_progress() as progress:
        found = predict(run, images, threshold=threshold, device=device, progress=progress)
    if as_json:
        click.echo(json.dumps(_values(found, top or TOP), indent=2))
    elif as_csv:
        _write_csv(found)
    elif found.images:
        print_table(_table_of_labels(found) if found.multi_label else _table(found, top or TOP))
    if found.problems:
        echo(f"{plural(len(found.problems), 'image')} can't be read:", err=True)
        for problem in found.problems:
            echo(f"  {problem.path}: {problem.reason}", err=True)
        return EXIT_UNREADABLE
    return 0


def _values(found: Predictions, top: int) -> dict[str, object]:
    return {
        "predictions": [item.to_dict(top=top) for item in found.images],
        "problems": [{"image": problem.path, "reason": problem.reason} for problem in found.problems],
    }


def _write_csv(found: Predictions) -> None:
    if not found.multi_label:
        rows = [(item.path, item.name, f"{item.confidence:.6f}") for item in found.images]
        click.echo(csv_text(("image", "class", "confidence"), rows), nl=False)
        return
    rows_of_labels = []
    for item in found.images:
        shares = dict(item.ranked)
        rows_of_labels.append((item.path, "|".join(item.labels), *(f"{shares[name]:.6f}" for name in found.classes)))
    click.echo(csv_text(("image", "labels", *found.classes), rows_of_labels), nl=False)


def _table_of_labels(found: Predictions) -> Table:
    rows = []
    for item in found.images:
        shown = ", ".join(f"{name} {percent(share)}" for name, share in item.ranked[: len(item.labels)])
        nearest = f"none (nearest: {item.name} {percent(item.confidence)})"
        rows.append((item.path, shown or nearest))
    return Table.of([Column("image"), Column("labels")], rows)


def _table(found: Predictions, top: int) -> Table:
    columns = [Column("image"), Column("class"), Column("confidence", numeric=True)]
    if top > 1:
        columns.append(Column("then"))
    rows = []
    for item in found.images:
        row = [item.path, item.name, percent(item.confidence)]
        if top > 1:
            row.append(", ".join(f"{name} {percent(share)}" for name, share in item.ranked[1:top]))
        rows.append(row)
    return Table.of(columns, rows)

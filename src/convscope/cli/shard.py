"""`convscope shard`: write a data set as WebDataset shards, a few large files that are read sequentially."""

from __future__ import annotations

from pathlib import Path

import click

from convscope.cli.output import echo
from convscope.report.printable import shell_quote
from convscope.report.progress import shown_progress
from convscope.report.table import Column, Table, print_table
from convscope.report.units import byte_size, exact, parse_byte_size, plural

SHOWN_PROBLEMS = 3


@click.command("shard")
@click.argument("data")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--shard-size", default="256MB", show_default=True, metavar="SIZE", help="Limit of a shard, in bytes.")
@click.option("--layout", default="auto", metavar="WORD", help="What the folders of DATA are, as for train  [auto]")
@click.option("--images", type=click.IntRange(min=1), metavar="N", help="Limit of a shard, in images.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the order of the images."
)
def command(data: str, out: Path, shard_size: str, layout: str, images: int | None, seed: int) -> None:
    """Write DATA, any source that `train` reads, as shards into the new folder OUT.

    Image files are copied byte for byte; those that can't be read are skipped and listed.
    """
    from convscope.data.open import probe
    from convscope.data.shards.write_shards import write_shards

    shard_bytes = parse_byte_size(shard_size)
    found = probe(data, layout=layout)
    for note in found.listing.notes:
        echo(f"note: {note}", err=True)
    with shown_progress() as progress:
        made = write_shards(
            found.listing, out, shard_bytes=shard_bytes, shard_images=images, seed=seed, progress=progress
        )
    for problem in made.problems[:SHOWN_PROBLEMS]:
        echo(f"left out: {problem.path}: {problem.reason}")
    if len(made.problems) > SHOWN_PROBLEMS:
        echo(f"left out: {plural(len(made.problems) - SHOWN_PROBLEMS, 'more image')}")
    columns = [
        Column("split"),
        Column("shards", numeric=True),
        Column("images", numeric=True),
        Column("size", numeric=True),
    ]
    rows = [(split.split, exact(split.shards), exact(split.images), byte_size(split.size)) for split in made.splits]
    print_table(Table.of(columns, rows))
    echo(f"\nto train on them: {shell_quote('convscope', 'train', made.folder)}")

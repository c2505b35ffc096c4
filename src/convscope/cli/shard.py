"""`convscope shard`: write a data set as WebDataset shards, a few large files that are read sequentially."""

from __future__ import annotations

from pathlib import Path

import click

from convscope.cli.seed import SEED
from convscope.cli.settings import OF_GROUPS, OF_TABLES, source_options
from convscope.data.records import MEGAPIXELS, MOST_MEGAPIXELS
from convscope.report.terminal import print_document


@click.command("shard")
@click.argument("data")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--shard-size", default="256MB", show_default=True, metavar="SIZE", help="Limit of a shard, in bytes.")
@click.option("--layout", default="auto", metavar="WORD", help="What the folders of DATA are, as for train  [auto]")
@source_options(*OF_TABLES, *OF_GROUPS)
@click.option("--value-range", default="auto", metavar="RANGE", help="Leave out what train can't read by it  [auto]")
@click.option(
    "--max-megapixels",
    type=click.IntRange(1, MOST_MEGAPIXELS),
    default=MEGAPIXELS,
    show_default=True,
    help="Leave out larger images.",
)
@click.option("--images", type=click.IntRange(min=1), metavar="N", help="Limit of a shard, in images.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the order of the images.")
def command(
    data: str,
    out: Path,
    shard_size: str,
    layout: str,
    image_column: str,
    image_folder: str,
    image_ending: str,
    label_column: str,
    label_separator: str,
    group_column: str,
    group_by: str,
    value_range: str,
    max_megapixels: int,
    images: int | None,
    seed: int,
) -> None:
    """Write DATA, any source that `train` reads, as shards into the new folder OUT.

    Image files are copied byte for byte; those that can't be read are skipped and listed.
    """
    from convscope.data.shard import shard

    made = shard(
        data,
        out,
        shard_size=shard_size,
        layout=layout,
        image_column=image_column,
        image_folder=image_folder,
        image_ending=image_ending,
        label_column=label_column,
        label_separator=label_separator,
        group_column=group_column,
        group_by=group_by,
        value_range=value_range,
        max_megapixels=max_megapixels,
        images=images,
        seed=seed,
        progress=True,
    )
    print_document(made.document())

"""`convscope evaluate`: the scores of a run, and its most confident mistakes."""

from __future__ import annotations

from pathlib import Path

import click

from convscope.cli.own_code import code_options
from convscope.cli.progress import work_progress
from convscope.cli.settings import OF_TABLES, limit_option, source_options
from convscope.report.json_values import json_text
from convscope.report.terminal import print_document


@click.command("evaluate")
@click.argument("run")
@click.argument("data", required=False)
@click.option("--split", type=click.Choice(["test", "val", "train"]), help="Split to measure  [test, else val]")
@click.option("--layout", default="auto", metavar="WORD", help="What the folders of DATA are, as for train  [auto]")
@source_options(*OF_TABLES)
@click.option("--device", default="cpu", show_default=True, help="Device to run the network on.")
@limit_option
@code_options
@click.option("--cache", metavar="FOLDER", help="Folder of the cache of decoded images.")
@click.option("--verify", is_flag=True, help="Compare every file with the cache, and decode changed ones again.")
@click.option(
    "--good-class", default="", metavar="CLASS", help="Class of good images, all others being defects  [the run's]"
)
@click.option(
    "--miss-rate", type=float, metavar="SHARE", help="Share of defects that may be missed: choose the threshold on val."
)
@click.option("--predictions", metavar="FILE", help="Write a CSV file: each image's true class and all probabilities.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    run: str,
    data: str | None,
    split: str | None,
    layout: str,
    image_column: str,
    image_folder: str,
    image_ending: str,
    label_column: str,
    label_separator: str,
    device: str,
    max_megapixels: int | None,
    code: str,
    trust_code: bool,
    cache: str | None,
    verify: bool,
    good_class: str,
    miss_rate: float | None,
    predictions: str | None,
    as_json: bool,
) -> None:
    """Measure RUN on the held-out part of its own images, or on DATA.

    RUN is a run directory, or a checkpoint in one, RUN/checkpoint/step-N, for the weights of that epoch. DATA has a
    folder for each class, or train/, val/ and test/ with such folders, or is a CSV file or shards; classes go by their
    names.
    """
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()  # before torch is imported
    from convscope.runs.evaluate import evaluate

    with work_progress() as progress:
        found = evaluate(
            Path(run),
            data,
            layout=layout,
            image_column=image_column,
            image_folder=image_folder,
            image_ending=image_ending,
            label_column=label_column,
            label_separator=label_separator,
            split=split,
            device=device,
            max_megapixels=max_megapixels,
            model=code,
            trust_code=trust_code,
            cache_directory=cache,
            progress=progress,
            verify=verify,
            good_class=good_class,
            miss_rate=miss_rate,
            predictions=predictions,
        )
    if as_json:
        click.echo(json_text(found.to_dict(), indent=2))
        return
    print_document(found.document())

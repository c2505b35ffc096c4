"""`convscope predict`: the classes of images, as a table, JSON or CSV."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

import click

from convscope.cli.output import echo
from convscope.cli.own_code import code_options
from convscope.cli.progress import work_progress
from convscope.cli.settings import limit_option
from convscope.report.csv_table import csv_text
from convscope.report.progress import is_terminal
from convscope.report.table import print_table
from convscope.report.units import plural

if TYPE_CHECKING:
    from convscope.runs.model_spec import ModelSpec
    from convscope.runs.predictions import Prediction

EXIT_UNREADABLE = 2
TOP = 3


@click.command("predict")
@click.argument("run")
@click.argument("images", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(1), help=f"Classes to show for each image  [{TOP}]")
@click.option("--threshold", type=float, help="Multi-label: lowest probability of a predicted label  [0.5]; "
              "with a good class: lowest score of a defect  [the run's]")  # fmt: skip
@click.option("--no-tta", is_flag=True, help="Leave out the run's test-time augmentation.")
@click.option("--device", default="cpu", show_default=True, help="Device to run the network on.")
@limit_option
@code_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the probability of every class.")
@click.option(
    "--csv", "as_csv", is_flag=True, help="Print CSV: image, class, confidence, and the probability of every class."
)
def command(
    run: str,
    images: tuple[str, ...],
    top: int | None,
    threshold: float | None,
    no_tta: bool,
    device: str,
    max_megapixels: int | None,
    code: str,
    trust_code: bool,
    as_json: bool,
    as_csv: bool,
) -> int:
    """Predict the class of IMAGES with RUN: files, folders (everything below them) or patterns like 'photos/*.jpg'.

    RUN is a run directory, or a checkpoint in one, RUN/checkpoint/step-N, for the weights of that epoch. Images that
    can't be read are listed and stop nothing; the exit code is then 2.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv are two forms of one answer: choose one")
    if as_csv and top is not None:
        raise click.UsageError("--top: --csv has the probability of every class: leave one of them out")
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()  # before torch is imported
    from convscope.runs.image_items import image_items
    from convscope.runs.predictions import Predictions
    from convscope.runs.predictor import load

    predictor = load(run, device=device, max_megapixels=max_megapixels, model=code, trust_code=trust_code)
    if top is not None and predictor.spec.multi_label:
        raise click.UsageError("--top: this run gives an image any number of labels: --threshold says which are shown")
    listed = len(predictor.classes) if predictor.spec.multi_label else top or TOP
    items = list(image_items(images))
    stdout = sys.stdout
    # Rows that come as they are computed would be written into the bar.
    with work_progress(quiet=as_csv and is_terminal(stdout)) as progress:
        stream = predictor.predict(
            items,
            top=listed,
            tta=False if no_tta else None,
            threshold=threshold,
            progress=progress,
        )
        # CSV is written as it comes, so that a million images take no memory; a table needs all rows for its widths.
        found = Predictions(tuple(_write_csv(stream, predictor.spec, stdout) if as_csv else stream))
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
    elif found.read:
        print_table(found.table())
    if problems := found.problems:
        echo(f"{plural(len(problems), 'image')} can't be read:", err=True)
        for item in problems:
            echo(f"  {item.image}: {item.problem}", err=True)
        return EXIT_UNREADABLE
    return 0


def _write_csv(stream: Iterator[Prediction], spec: ModelSpec, file: TextIO) -> list[Prediction]:
    """Write a row for each image that could be read, and return the others."""
    from convscope.runs.predictions import csv_header, csv_row

    header = csv_header(spec.classes, multi_label=spec.multi_label, verdict=spec.defect_rule is not None)
    click.echo(csv_text(header, ()), nl=False, file=file)
    unreadable: list[Prediction] = []
    for item in stream:
        if item.problem:
            unreadable.append(item)
            continue
        click.echo(csv_text(csv_row(item), ()), nl=False, file=file)
    return unreadable

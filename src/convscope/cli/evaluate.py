"""`convscope evaluate`: the scores of a run, and its most confident mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convscope.cli.echo import echo
from convscope.report.progress import shown_progress
from convscope.report.table import Column, Table, print_table
from convscope.report.units import exact, loss, percent, plural

if TYPE_CHECKING:
    from convscope.scoring.metrics import Scores
    from convscope.scoring.multi_label import LabelScores

WORST = 10
WIDEST_HEADER = 70  # characters of all class names, up to which each heads its column of the matrix
LARGEST_MATRIX = 20  # classes up to which the confusion matrix fits a terminal


@click.command("evaluate")
@click.argument("run")
@click.argument("data", required=False)
@click.option("--split", type=click.Choice(["test", "val", "train"]), help="Split to measure  [test, else val]")
@click.option("--layout", default="auto", metavar="WORD", help="What the folders of DATA are, as for train  [auto]")
@click.option("--device", default="cpu", show_default=True, help="Device to run the network on.")
@click.option("--cache", metavar="FOLDER", help="Folder of the cache of decoded images.")
@click.option("--verify", is_flag=True, help="Compare every file with the cache, and decode changed ones again.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    run: str,
    data: str | None,
    split: str | None,
    layout: str,
    device: str,
    cache: str | None,
    verify: bool,
    as_json: bool,
) -> None:
    """Measure RUN on the held-out part of its own images, or on DATA.

    DATA has a folder for each class, or train/, val/ and test/ with such folders, or is a CSV file; classes go by their
    names.
    """
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()  # before torch is imported
    from convscope.runs.evaluate import evaluate
    from convscope.scoring.multi_label import LabelScores

    with shown_progress() as progress:
        found = evaluate(
            Path(run),
            data,
            layout=layout,
            split=split,
            device=device,
            cache_directory=cache,
            progress=progress,
            verify=verify,
        )
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
        return
    scores = found.scores
    if isinstance(scores, LabelScores):
        lines = label_headline(scores, found.loss_name)
        tables = [label_per_class_table(scores), label_mistakes_table(scores)]
    else:
        lines = headline(scores, found.loss_name)
        tables = [per_class_table(scores), matrix_table(scores), mistakes_table(scores)]
    echo(f"{found.run} on {found.data}, {scores.split}: {plural(scores.images, 'image')}")
    for note in (*found.notes, *found.cautions):
        echo(f"note: {note}")
    if found.skipped:
        echo(f"note: {plural(found.skipped, 'image')} of {found.data} can't be read: skipped")
    if found.one_view is not None:
        lines.append(("with one view", percent(found.one_view, decimals=2)))
    echo()
    for name, value in lines:
        echo(f"{name:<20} {value}")
    for table in tables:
        if table is not None:
            echo()
            print_table(table)


def headline(scores: Scores, loss_name: str) -> list[tuple[str, str]]:
    """Return the main scores, as text."""
    right = int(scores.confusion.trace())
    lines = [("top-1 accuracy", f"{percent(scores.accuracy_top1, decimals=2)} ({right:,} of {scores.images:,})")]
    lines.append(("balanced accuracy", percent(scores.balanced_accuracy, decimals=2)))
    lines.append(("macro F1", percent(scores.macro_f1, decimals=2)))
    if scores.accuracy_top5 is not None:
        lines.append(("top-5 accuracy", percent(scores.accuracy_top5, decimals=2)))
    lines.append((loss_name, loss(scores.loss)))
    lines.append(("calibration error", percent(scores.calibration_error)))
    return lines


def per_class_table(scores: Scores) -> Table:
    """Return the table of precision, recall and F1 of each class."""
    columns = [Column("class"), *(Column(name, numeric=True) for name in ("images", "precision", "recall", "F1"))]
    rows = [
        (score.name, exact(score.images), percent(score.precision), percent(score.recall), percent(score.f1))
        for score in scores.per_class
    ]
    return Table.of(columns, rows, title="Per class")


def matrix_table(scores: Scores) -> Table | None:
    """Return the confusion matrix (true by row, predicted by column), or None with too many classes for a terminal."""
    if len(scores.classes) > LARGEST_MATRIX:
        return None
    heads, names = list(scores.classes), list(scores.classes)
    if sum(map(len, heads)) > WIDEST_HEADER:  # columns as wide as their names would not fit: they go by number
        heads = [str(number) for number, _ in enumerate(names, 1)]
        names = [f"{number} {name}" for number, name in enumerate(names, 1)]
    columns = [Column("true \\ predicted"), *(Column(head, numeric=True) for head in heads)]
    rows = [
        (name, *(str(count) if count else "." for count in counts))
        for name, counts in zip(names, scores.confusion.tolist(), strict=True)
    ]
    return Table.of(columns, rows, title="Confusion matrix")


def mistakes_table(scores: Scores) -> Table | None:
    """Return the table of the most confident mistakes, or None if there are none."""
    if not scores.mistakes:
        return None
    columns = [Column("image"), Column("true"), Column("predicted"), Column("confidence", numeric=True)]
    rows = [
        (mistake.name, scores.classes[mistake.true], scores.classes[mistake.predicted], percent(mistake.confidence))
        for mistake in scores.mistakes[:WORST]
    ]
    shown = f"Worst mistakes ({len(rows)} of {len(scores.mistakes):,})"
    return Table.of(columns, rows, title=shown)


def label_headline(scores: LabelScores, loss_name: str) -> list[tuple[str, str]]:
    """Return the main multi-label scores, as text."""
    counted = len(scores.classes) - len(scores.unmeasured)
    lines = [
        ("mAP", f"{percent(scores.mean_average_precision, decimals=2)} (mean over {counted} classes)"),
        ("ROC-AUC", percent(scores.mean_roc_auc, decimals=2)),
        ("exact match", percent(scores.exact_match, decimals=2)),
        ("macro F1", percent(scores.macro_f1)),
        ("micro F1", percent(scores.micro_f1)),
        (loss_name, loss(scores.loss)),
    ]
    if scores.unmeasured:
        lines.append(("no images of", ", ".join(scores.unmeasured)))
    return lines


def label_per_class_table(scores: LabelScores) -> Table:
    """Return the table of each class's average precision and of the scores at the threshold."""
    heads = ("images", "AP", "ROC-AUC", "precision", "recall", "F1")
    columns = [Column("class"), *(Column(name, numeric=True) for name in heads)]
    rows = [
        (
            item.name,
            exact(item.images),
            *(percent(share) for share in (item.average_precision, item.roc_auc, item.precision, item.recall, item.f1)),
        )
        for item in scores.per_class
    ]
    return Table.of(columns, rows, title=f"Per class (shown from {percent(scores.threshold, decimals=0)} on)")


def label_mistakes_table(scores: LabelScores) -> Table | None:
    """Return the table of the most confident multi-label mistakes, or None if there are none."""
    if not scores.mistakes:
        return None
    columns = [Column("image"), Column("class"), Column("mistake"), Column("probability", numeric=True)]
    rows = [
        (
            mistake.name,
            scores.classes[mistake.label],
            "missed" if mistake.shown else "not there",
            percent(mistake.probability),
        )
        for mistake in scores.mistakes[:WORST]
    ]
    return Table.of(columns, rows, title=f"Worst mistakes ({len(rows)} of {scores.wrong:,})")

"""Scores as figures and tables of a document: of one label for each image, and of several."""

from __future__ import annotations

from convscope.report.document import Fact
from convscope.report.table import Column, Table
from convscope.report.units import exact, loss, percent
from convscope.scoring.metrics import Scores
from convscope.scoring.multi_label import LabelScores

WORST = 10
WIDEST_HEADER = 70  # characters of all class names, up to which each heads its column of the matrix
LARGEST_MATRIX = 20  # classes up to which the confusion matrix fits a terminal


def headline(scores: Scores, loss_name: str) -> list[Fact]:
    """Return the main scores, each with its name."""
    right = int(scores.confusion.trace())
    lines = [
        Fact("top-1 accuracy", percent(scores.accuracy_top1, decimals=2), scores.accuracy_top1,
             f"{percent(scores.accuracy_top1, decimals=2)} ({right:,} of {scores.images:,})"),
        Fact("balanced accuracy", percent(scores.balanced_accuracy, decimals=2), scores.balanced_accuracy),
        Fact("macro F1", percent(scores.macro_f1, decimals=2), scores.macro_f1),
    ]  # fmt: skip
    if scores.accuracy_top5 is not None:
        lines.append(Fact("top-5 accuracy", percent(scores.accuracy_top5, decimals=2), scores.accuracy_top5))
    lines.append(Fact(loss_name, loss(scores.loss), scores.loss))
    lines.append(Fact("calibration error", percent(scores.calibration_error), scores.calibration_error))
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


def label_headline(scores: LabelScores, loss_name: str) -> list[Fact]:
    """Return the main multi-label scores, each with its name."""
    counted = len(scores.classes) - len(scores.unmeasured)
    mean = percent(scores.mean_average_precision, decimals=2)
    lines = [
        Fact("mAP", mean, scores.mean_average_precision, f"{mean} (mean over {counted} classes)"),
        Fact("ROC-AUC", percent(scores.mean_roc_auc, decimals=2), scores.mean_roc_auc),
        Fact("exact match", percent(scores.exact_match, decimals=2), scores.exact_match),
        Fact("macro F1", percent(scores.macro_f1), scores.macro_f1),
        Fact("micro F1", percent(scores.micro_f1), scores.micro_f1),
        Fact(loss_name, loss(scores.loss), scores.loss),
    ]
    if scores.unmeasured:
        lines.append(Fact("no images of", ", ".join(scores.unmeasured), list(scores.unmeasured)))
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

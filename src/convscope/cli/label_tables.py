"""Tables of multi-label scores for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convscope.report.table import Column, Table
from convscope.report.units import exact, loss, percent

if TYPE_CHECKING:
    from convscope.scoring.multi_label import LabelScores

WORST = 10


def headline(scores: LabelScores) -> list[tuple[str, str]]:
    """Return the main scores, as text."""
    counted = len(scores.classes) - len(scores.unmeasured)
    lines = [
        ("mAP", f"{percent(scores.mean_average_precision, decimals=2)} (mean over {counted} classes)"),
        ("ROC-AUC", percent(scores.mean_roc_auc, decimals=2)),
        ("exact match", percent(scores.exact_match, decimals=2)),
        ("macro F1", percent(scores.macro_f1)),
        ("micro F1", percent(scores.micro_f1)),
        ("loss", loss(scores.loss)),
    ]
    if scores.unmeasured:
        lines.append(("no images of", ", ".join(scores.unmeasured)))
    return lines


def per_class_table(scores: LabelScores) -> Table:
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


def mistakes_table(scores: LabelScores) -> Table | None:
    """Return the table of the most confident mistakes, or None if there are none."""
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

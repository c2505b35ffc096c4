"""Scores of several labels for each image: the record, its figures and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convscope.report.charts import bar_chart
from convscope.report.document import Block, Columns, Document, Fact, Facts, Figure
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.printable import few
from convscope.report.short_repr import ShortRepr
from convscope.report.svg import Drawing
from convscope.report.table import Column, Table
from convscope.report.units import exact, interval, loss, percent, plural
from convscope.scoring.intervals import ConfidenceInterval
from convscope.scoring.threshold_curves import ThresholdCurve, curves_figure

WORST = 10
MOST_BARS = 40  # classes; of more, those with the lowest average precision are drawn


@dataclass(frozen=True, kw_only=True, repr=False)
class LabelScore(ShortRepr):
    """Metrics of one class; None for a division by 0."""

    name: str
    images: int
    predicted: int
    right: int
    precision: float | None
    recall: float | None
    f1: float | None
    average_precision: float | None
    roc_auc: float | None


@dataclass(frozen=True, repr=False)
class LabelMistake(ShortRepr):
    """A wrong decision on one class of one image; `shown` is the target, so True is a missed class."""

    row: int
    name: str
    label: int
    shown: bool
    probability: float

    @property
    def sureness(self) -> float:
        """The confidence of the wrong decision, 0.5 to 1 at the default threshold."""
        return 1 - self.probability if self.shown else self.probability


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LabelScores(Pictured):
    """The metrics of one split; `unmeasured` are the classes without images, which are left out of the means."""

    split: str
    classes: tuple[str, ...]
    images: int
    loss: float
    threshold: float
    mean_average_precision: float | None
    mean_roc_auc: float | None
    macro_f1: float
    micro_f1: float
    exact_match: float
    unmeasured: tuple[str, ...]
    per_class: tuple[LabelScore, ...]
    mistakes: tuple[LabelMistake, ...]
    # What the loss is.
    loss_name: str = "loss"
    # What the scores were divided by before they became probabilities.
    temperature: float = 1.0
    # The 95 % interval of mAP; None where no image changes it.
    map_interval: ConfidenceInterval | None = None
    # Each class against all others; of many those with the lowest average precision.
    curves: tuple[ThresholdCurve, ...] = ()

    @property
    def measure(self) -> float | None:
        """The metric that runs are compared by: mAP; None if no image has a label."""
        return self.mean_average_precision

    @property
    def wrong(self) -> int:
        """The number of wrong decisions in all."""
        return sum(score.images + score.predicted - 2 * score.right for score in self.per_class)

    def to_dict(self, *, mistakes: int = 25) -> dict[str, Any]:
        """Return the metrics as JSON's types, with this many of the most confident mistakes.

        Keys:
            split: test, val or train; or images, where there are no splits.
            images: how many were measured.
            mean_average_precision: mAP, the mean over the classes that have images.
            mean_average_precision_interval: its 95 % interval, lower and upper end; None where no image changes it.
            mean_roc_auc: the mean over the classes that have images and lack some.
            threshold: the probability from which on a class counts as predicted.
            macro_f1: the mean F1 of the classes, at the threshold.
            micro_f1: the F1 of all decisions together, at the threshold.
            exact_match: the share of images with every label right, at the threshold.
            loss: the loss by which the network was trained, without class weights.
            loss_name: what it is.
            temperature: what scores are divided by before they become probabilities, fitted on validation images.
            classes: the names, in the order of the network's outputs.
            classes_without_images: they are left out of the means.
            per_class: the measures of each.
            worst_mistakes: image, class, whether it is shown, probability.
            curves: class, roc_auc, average_precision, and the points of the ROC and precision-recall curves; of many
                classes those with the lowest average precision.
        """
        return json_dict(
            {
                "split": self.split,
                "images": self.images,
                "mean_average_precision": self.mean_average_precision,
                "mean_average_precision_interval": self.map_interval,
                "mean_roc_auc": self.mean_roc_auc,
                "threshold": self.threshold,
                "macro_f1": self.macro_f1,
                "micro_f1": self.micro_f1,
                "exact_match": self.exact_match,
                "loss": self.loss,
                "loss_name": self.loss_name,
                "temperature": self.temperature,
                "classes": self.classes,
                "classes_without_images": self.unmeasured,
                "per_class": [vars(score) for score in self.per_class],
                "worst_mistakes": [
                    {
                        "image": mistake.name,
                        "class": self.classes[mistake.label],
                        "shown": mistake.shown,
                        "probability": mistake.probability,
                    }
                    for mistake in self.mistakes[:mistakes]
                ],
                "curves": [curve.to_dict() for curve in self.curves],
            }
        )

    def headline(self) -> str:
        """Return the split, mAP and how many images have every label right."""
        mean = f"{percent(self.mean_average_precision, decimals=2)} ({interval(self.map_interval)})"
        exact_match = percent(self.exact_match, decimals=2)
        return f"{self.split}: mAP {mean}, exact match {exact_match}, {plural(self.images, 'image')}"

    def facts(self) -> list[Fact]:
        """Return the main scores, each with its name."""
        counted = plural(len(self.classes) - len(self.unmeasured), "class", "classes")
        mean = percent(self.mean_average_precision, decimals=2)
        facts = [
            Fact("mAP", mean, self.mean_average_precision, f"{mean} (mean over {counted})"),
            Fact("95 % interval", interval(self.map_interval, name=""), list(self.map_interval or ()) or None),
            Fact("ROC-AUC", percent(self.mean_roc_auc, decimals=2), self.mean_roc_auc),
            Fact("exact match", percent(self.exact_match, decimals=2), self.exact_match),
            Fact("macro F1", percent(self.macro_f1), self.macro_f1),
            Fact("micro F1", percent(self.micro_f1), self.micro_f1),
            Fact(self.loss_name, loss(self.loss), self.loss),
        ]
        if self.temperature != 1:
            facts.append(Fact("temperature", f"{self.temperature:.3g}", self.temperature))
        if self.unmeasured:
            facts.append(Fact("no images of", few(self.unmeasured), list(self.unmeasured)))
        return facts

    def figure(self) -> Drawing:
        """Draw the average precision of each class as bars; of many classes the lowest."""
        measured = [
            (item.name, item.average_precision) for item in self.per_class if item.average_precision is not None
        ]
        drawn = sorted(measured, key=lambda bar: bar[1])[:MOST_BARS] if len(measured) > MOST_BARS else measured
        return bar_chart(
            drawn,
            title="Average precision" + (f", the {MOST_BARS} lowest" if len(drawn) < len(measured) else ""),
            labels=[percent(precision) for _, precision in drawn],
            largest=1.0,
            width=460,
        )

    def curves_figure(self) -> Drawing:
        """Draw the ROC and the precision-recall curves of the classes."""
        return curves_figure(self.curves)

    def blocks(self) -> tuple[Block, ...]:
        """Return the scores, each class's and the worst mistakes."""
        mistakes = mistakes_table(self)
        table = per_class_table(self)
        return (Facts(tuple(self.facts())), Columns((Figure(self.figure), table)), *([mistakes] if mistakes else []))

    def document(self) -> Document:
        """Return what is shown: the scores, each class's and the worst mistakes."""
        return Document(f"{self.split}: {plural(self.images, 'image')}", self.blocks())


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

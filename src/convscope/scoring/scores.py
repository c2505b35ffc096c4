"""Scores of one label for each image: the record, its figures and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from convscope.arrays import Integers
from convscope.report.charts import confusion_matrix
from convscope.report.document import Block, Document, Fact, Facts, Figure
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.short_repr import ShortRepr
from convscope.report.svg import Drawing
from convscope.report.table import Column, Table
from convscope.report.units import exact, interval, loss, percent, plural
from convscope.scoring.confusion_counts import MOST_IN_MATRIX, ConfusionCounts
from convscope.scoring.defect_scores import DefectScores
from convscope.scoring.intervals import ConfidenceInterval, around, influence_on_macro_f1, of_share
from convscope.scoring.threshold_curves import ThresholdCurve, curves_figure

UNEQUAL, HIDDEN = 1.5, 0.5  # see `Scores.unequal` and `Scores.hidden`
# Names of splits as a sentence and as a heading have them.
SPLIT_NAMES: Mapping[str, str] = {"test": "test", "val": "validation", "train": "training"}
SPLIT_TITLES: Mapping[str, str] = {split: name.capitalize() for split, name in SPLIT_NAMES.items()}
WORST = 10
WIDEST_HEADER = 70  # characters of all class names, up to which each heads its column of the matrix
LARGEST_MATRIX = 20  # classes up to which the confusion matrix fits a terminal
LARGEST_DRAWN = 40  # classes; of more, those with the most mistakes are drawn


@dataclass(frozen=True, repr=False)
class ClassScore(ShortRepr):
    """One class: how many images are its own, and how well it was found; None where there is nothing to divide by."""

    name: str
    images: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, repr=False)
class CalibrationBin(ShortRepr):
    """The images whose confidence lies in (low, high]: how sure the network was, and how often it was right."""

    low: float
    high: float
    images: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, repr=False)
class Mistake(ShortRepr):
    """A wrong prediction: its row in the split, the true and the predicted class, and the confidence."""

    row: int
    name: str
    true: int
    predicted: int
    confidence: float


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Scores(Pictured):
    """The measures of one split; `counts` has the images by true and predicted class."""

    split: str
    classes: tuple[str, ...]
    images: int
    loss: float
    accuracy_top1: float
    accuracy_top5: float | None
    calibration_error: float
    counts: ConfusionCounts
    per_class: tuple[ClassScore, ...]
    calibration: tuple[CalibrationBin, ...]
    mistakes: tuple[Mistake, ...]
    # What the loss is: "cross-entropy", "hinge loss".
    loss_name: str = "loss"
    # What the scores were divided by, and the calibration error with 1; None where the temperature is 1.
    temperature: float = 1.0
    calibration_error_before: float | None = None
    # Each class against all others; of many those with the lowest average precision.
    curves: tuple[ThresholdCurve, ...] = ()
    # Missed defects and false alarms, where one class is the good one.
    defects: DefectScores | None = None

    @cached_property
    def confusion(self) -> Integers:
        """The confusion matrix: `confusion[i, j]` images of class i are predicted as j, int64 (classes, classes)."""
        return self.counts.matrix()

    @property
    def right(self) -> int:
        """How many images are predicted as their class."""
        return int(self.counts.right.sum())

    @property
    def shown_curves(self) -> tuple[ThresholdCurve, ...]:
        """The curve of defects against good images where one class is the good one, else each class's."""
        if self.defects is None:
            return self.curves
        return () if self.defects.curve is None else (self.defects.curve,)

    @property
    def measure(self) -> float:
        """The one number that runs are compared by: top-1 accuracy."""
        return self.accuracy_top1

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that have images (scikit-learn's balanced_accuracy_score)."""
        return float(np.mean([item.recall for item in self.per_class if item.recall is not None]))

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that have images or are predicted (f1_score, average="macro")."""
        return float(np.mean([item.f1 for item in self.per_class if item.f1 is not None]))

    @property
    def accuracy_interval(self) -> ConfidenceInterval:
        """The 95 % interval of top-1 accuracy."""
        return of_share(self.right, self.images)

    @property
    def macro_f1_interval(self) -> ConfidenceInterval | None:
        """The 95 % interval of macro F1; None where every image is right, or none is: nothing varies."""
        return around(self.macro_f1, influence_on_macro_f1(self.counts), self.counts.images)

    @property
    def largest(self) -> ClassScore:
        """The class with the most images; its share is the accuracy of always predicting it."""
        return max(self.per_class, key=lambda item: item.images)

    @property
    def largest_share(self) -> float:
        """The share of the images that are of the largest class (DummyClassifier, strategy "most_frequent")."""
        return self.largest.images / self.images

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """The classes without images, which have no metrics."""
        return tuple(item.name for item in self.per_class if not item.images)

    @property
    def unequal(self) -> bool:
        """Whether the largest class has at least UNEQUAL times as many images as the smallest that has any."""
        counts = [item.images for item in self.per_class if item.images]
        return max(counts) >= UNEQUAL * min(counts) and max(counts) - min(counts) > 1

    @property
    def hidden(self) -> tuple[ClassScore, ...]:
        """The classes that a good accuracy hides: fewer images than the average, and at most half of its recall."""
        average = self.images / (len(self.per_class) - len(self.unmeasured))
        return tuple(
            item
            for item in self.per_class
            if item.recall is not None and item.images < average and item.recall <= HIDDEN * self.accuracy_top1
        )

    def to_dict(self, *, mistakes: int = 25) -> dict[str, Any]:
        """Return the metrics as JSON's types, with this many of the most confident and the most frequent mistakes.

        Keys:
            split: test, val or train; or images, where there are no splits.
            images: how many were measured.
            accuracy_top1: the share of images whose most probable class is right.
            accuracy_interval: its 95 % interval, lower and upper end.
            accuracy_top5: the share whose class is among the five most probable; None with five classes or fewer.
            balanced_accuracy: the mean recall of the classes that have images.
            macro_f1: the mean F1 of the classes that have images or are predicted.
            macro_f1_interval: its 95 % interval; None where every image is right, or none is.
            largest_class: the class with the most images.
            largest_class_share: the accuracy of always predicting it.
            classes_without_images: nothing is measured of them.
            loss: the loss by which the network was trained, without label smoothing and class weights.
            loss_name: what it is.
            calibration_error: the expected calibration error over 15 bins.
            calibration_error_before: the same without the temperature; None where that is 1.
            temperature: what scores are divided by before they become probabilities, fitted on validation images.
            classes: the names, in the order of the network's outputs.
            per_class: name, images, predicted, precision, recall, f1 of each.
            confusion_matrix: images by true class (row) and predicted class (column); None of more than 2,000 classes.
            most_confused: true class, predicted class and images, of the most frequent mistakes.
            worst_mistakes: image, true class, predicted class, confidence.
            curves: class, roc_auc, average_precision, and the points of the ROC and precision-recall curves; of defects
                against good images where one class is the good one, else of each class against all others, and of
                many classes those with the lowest average precision.
            defects: good_class, threshold, miss_rate, missed_defects and false_alarms with their 95 % intervals; None
                where no class is the good one.
        """
        return json_dict(
            {
                "split": self.split,
                "images": self.images,
                "accuracy_top1": self.accuracy_top1,
                "accuracy_interval": self.accuracy_interval,
                "accuracy_top5": self.accuracy_top5,
                "balanced_accuracy": self.balanced_accuracy,
                "macro_f1": self.macro_f1,
                "macro_f1_interval": self.macro_f1_interval,
                "largest_class": self.largest.name,
                "largest_class_share": self.largest_share,
                "classes_without_images": self.unmeasured,
                "loss": self.loss,
                "loss_name": self.loss_name,
                "calibration_error": self.calibration_error,
                "calibration_error_before": self.calibration_error_before,
                "temperature": self.temperature,
                "classes": self.classes,
                "per_class": [vars(score) for score in self.per_class],
                "confusion_matrix": self.confusion if len(self.classes) <= MOST_IN_MATRIX else None,
                "most_confused": [
                    {"true": self.classes[true], "predicted": self.classes[predicted], "images": images}
                    for true, predicted, images in self.counts.wrong.most_frequent(mistakes)
                ],
                "worst_mistakes": [
                    {
                        "image": mistake.name,
                        "true": self.classes[mistake.true],
                        "predicted": self.classes[mistake.predicted],
                        "confidence": mistake.confidence,
                    }
                    for mistake in self.mistakes[:mistakes]
                ],
                "curves": [curve.to_dict() for curve in self.shown_curves],
                "defects": self.defects.to_dict() if self.defects else None,
            }
        )

    def headline(self) -> str:
        """Return the split and the accuracy."""
        accuracy = f"{percent(self.accuracy_top1, decimals=2)} ({interval(self.accuracy_interval)})"
        return f"{self.split}: accuracy {accuracy}, {self.right:,} of {plural(self.images, 'image')}"

    def facts(self) -> list[Fact]:
        """Return the main scores, each with its name."""
        top1, f1 = percent(self.accuracy_top1, decimals=2), percent(self.macro_f1, decimals=2)
        facts = [
            Fact("top-1 accuracy", top1, self.accuracy_top1, f"{top1} ({self.right:,} of {self.images:,})"),
            Fact("95 % interval", interval(self.accuracy_interval, name=""), list(self.accuracy_interval)),
            Fact("balanced accuracy", percent(self.balanced_accuracy, decimals=2), self.balanced_accuracy),
            Fact("macro F1", f1, self.macro_f1, f"{f1} ({interval(self.macro_f1_interval)})"),
        ]
        if self.accuracy_top5 is not None:
            facts.append(Fact("top-5 accuracy", percent(self.accuracy_top5, decimals=2), self.accuracy_top5))
        facts.append(Fact(self.loss_name, loss(self.loss), self.loss))
        error = self.calibration_error
        facts.append(Fact("calibration error", percent(error), error, percent(error) + self.before_temperature))
        return facts + (self.defects.facts() if self.defects else [])

    @property
    def before_temperature(self) -> str:
        """The calibration error without the temperature, as an addition to the error; empty where there is none."""
        if self.calibration_error_before is None:
            return ""
        return f" ({percent(self.calibration_error_before)} before temperature {self.temperature:.3g})"

    def figure(self) -> Drawing:
        """Draw the confusion matrix; of many classes that of those with the most mistakes."""
        title = f"Confusion matrix, {SPLIT_NAMES.get(self.split, self.split)} images"
        if len(self.classes) <= LARGEST_DRAWN:
            return confusion_matrix(self.confusion, self.classes, title=title)
        wrong = self.counts.wrong
        worst = np.sort(np.argsort(-(wrong.support + wrong.predictions), kind="stable")[:LARGEST_DRAWN])
        title = f"The {LARGEST_DRAWN} classes with the most mistakes, of {len(self.classes):,}"
        return confusion_matrix(self.counts.among(worst), [self.classes[i] for i in worst], title=title)

    def blocks(self) -> tuple[Block, ...]:
        """Return the scores, each class's, the confusion matrix and the worst mistakes."""
        mistakes = mistakes_table(self)
        matrix = Figure(self.figure, text=matrix_table(self) or "")
        defects = self.defects.table() if self.defects else None
        curves = curve_blocks(self.shown_curves)
        rest = [block for block in (defects, matrix, *curves, mistakes) if block]
        return (Facts(tuple(self.facts())), per_class_table(self), *rest)

    def curves_figure(self) -> Drawing:
        """Draw the ROC and the precision-recall curves: of defects, or of each class against all others."""
        return curves_figure(self.shown_curves)

    def document(self) -> Document:
        """Return what is shown: the scores, each class's, the confusion matrix and the worst mistakes."""
        return Document(f"{self.split}: {plural(self.images, 'image')}", self.blocks())


def curve_blocks(curves: Sequence[ThresholdCurve]) -> tuple[Block, ...]:
    """Return the figure of ROC and precision-recall curves, whose text in a terminal is a table of their areas."""
    if not curves:
        return ()
    columns = [Column("class"), *(Column(head, numeric=True) for head in ("images", "ROC AUC", "average precision"))]
    rows = [
        (
            curve.name,
            exact(curve.positives),
            percent(curve.roc_auc, decimals=2),
            percent(curve.average_precision, decimals=2),
        )
        for curve in curves
    ]
    table = Table.of(columns, rows, title="Against all others" if len(curves) > 1 else "At every threshold")
    return (Figure(partial(curves_figure, curves), text=table),)


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

"""Metrics of predictions: accuracy, balanced accuracy and F1, confusions, calibration, worst mistakes.

Everything is computed from one array of probabilities and one of labels, so `train`, `evaluate` and the report agree.
scikit-learn's definitions are used where it has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from convscope.arrays import Floats, Integers
from convscope.errors import DataError
from convscope.scoring.objective import Objective

SOFTMAX = Objective()
CALIBRATION_BINS = 15  # Guo et al. 2017, section 2
UNEQUAL, HIDDEN = 1.5, 0.5  # see `Scores.unequal` and `Scores.hidden`


@dataclass(frozen=True)
class ClassScore:
    """One class: how many images are its own, and how well it was found; None where there is nothing to divide by."""

    name: str
    images: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class CalibrationBin:
    """The images whose confidence lies in (low, high]: how sure the network was, and how often it was right."""

    low: float
    high: float
    images: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Mistake:
    """A wrong prediction: its row in the split, the true and the predicted class, and the confidence."""

    row: int
    name: str
    true: int
    predicted: int
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The measures of one split; `confusion[i, j]` counts images of class i that were called j."""

    split: str
    classes: tuple[str, ...]
    images: int
    loss: float
    accuracy_top1: float
    accuracy_top5: float | None
    calibration_error: float
    confusion: Integers
    per_class: tuple[ClassScore, ...]
    calibration: tuple[CalibrationBin, ...]
    mistakes: tuple[Mistake, ...]

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
        """Return the metrics as JSON-able values."""
        return {
            "split": self.split,
            "images": self.images,
            "accuracy_top1": self.accuracy_top1,
            "accuracy_top5": self.accuracy_top5,
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "largest_class": self.largest.name,
            "largest_class_share": self.largest_share,
            "classes_without_images": list(self.unmeasured),
            "loss": self.loss,
            "calibration_error": self.calibration_error,
            "classes": list(self.classes),
            "per_class": [vars(score) for score in self.per_class],
            "confusion_matrix": self.confusion.tolist(),
            "worst_mistakes": [
                {
                    "image": mistake.name,
                    "true": self.classes[mistake.true],
                    "predicted": self.classes[mistake.predicted],
                    "confidence": mistake.confidence,
                }
                for mistake in self.mistakes[:mistakes]
            ],
        }


def score(
    probabilities: Floats,
    labels: Integers,
    *,
    classes: tuple[str, ...],
    names: Any = None,
    split: str = "test",
    objective: Objective = SOFTMAX,
    loss: float | None = None,
) -> Scores:
    """Measure probabilities (N, classes) against labels (N,); `names` say which image a row is.

    The `loss` is the one by which the network learned, which `objective` says; where it is not given it is taken from
    the probabilities (see `Objective.plain_of_probabilities`).

    Top-5 is None with five classes or fewer, where it would always be 1.

    >>> found = score(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 1]), classes=("cat", "dog"))
    >>> found.accuracy_top1, found.accuracy_top5, found.confusion.tolist()
    (0.5, None, [[1, 0], [1, 0]])
    >>> found.balanced_accuracy, round(found.macro_f1, 2), found.largest.name, found.largest_share
    (0.5, 0.33, 'cat', 0.5)

    Raises:
        DataError: no images, or probabilities that are not numbers.
    """
    count = len(labels)
    if not count:
        raise DataError(f"the {split} split has no images to measure on")
    if not np.isfinite(probabilities).all():
        # argmax would call every one of these class 0.
        raise DataError("the network answers NaN: its weights or the images are not finite numbers")
    predicted = probabilities.argmax(1)
    confidence = probabilities.max(1)
    right = predicted == labels
    bins = calibration_bins(confidence, right)
    confusion = confusion_matrix(predicted, labels, classes=len(classes))
    return Scores(
        split=split,
        classes=classes,
        images=count,
        loss=objective.plain_of_probabilities(probabilities, labels) if loss is None else loss,
        accuracy_top1=float(right.mean()),
        accuracy_top5=top_k(probabilities, labels, 5) if len(classes) > 5 else None,
        calibration_error=calibration_error(bins),
        confusion=confusion,
        per_class=per_class(confusion, classes),
        calibration=bins,
        mistakes=_mistakes(predicted, labels, confidence, names),
    )


def confusion_matrix(predicted: Integers, labels: Integers, *, classes: int) -> Integers:
    """Return the confusion matrix, true by row and predicted by column, int64 (classes, classes).

    >>> confusion_matrix(np.array([1, 1, 0]), np.array([0, 1, 0]), classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    pairs = labels * classes + predicted
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def top_k(probabilities: Floats, labels: Integers, k: int) -> float:
    """Return the share of rows (N, classes) whose label is among the k most probable; ties count as wrong."""
    truth = probabilities[np.arange(len(labels)), labels]
    above = (probabilities > truth[:, None]).sum(1)
    tied = (probabilities == truth[:, None]).sum(1) - 1
    return float((above + tied < k).mean())


def per_class(confusion: Integers, classes: tuple[str, ...]) -> tuple[ClassScore, ...]:
    """Return precision, recall and F1 of each class from a confusion matrix; None for a division by 0."""
    found = []
    for index, name in enumerate(classes):
        right, own, called = int(confusion[index, index]), int(confusion[index].sum()), int(confusion[:, index].sum())
        found.append(
            ClassScore(
                name=name,
                images=own,
                predicted=called,
                precision=right / called if called else None,
                recall=right / own if own else None,
                f1=2 * right / (own + called) if own + called else None,
            )
        )
    return tuple(found)


def calibration_bins(
    confidence: Floats, right: npt.NDArray[np.bool_], *, bins: int = CALIBRATION_BINS
) -> tuple[CalibrationBin, ...]:
    """Return equal-width bins of confidence with the accuracy in each (Guo et al. 2017, section 2)."""
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    found = []
    for index in range(bins):
        inside = place == index
        images = int(inside.sum())
        found.append(
            CalibrationBin(
                low=index / bins,
                high=(index + 1) / bins,
                images=images,
                confidence=float(confidence[inside].mean()) if images else None,
                accuracy=float(right[inside].mean()) if images else None,
            )
        )
    return tuple(found)


def calibration_error(bins: tuple[CalibrationBin, ...]) -> float:
    """Return the expected calibration error: the mean distance of confidence from accuracy, weighted by images."""
    images = sum(item.images for item in bins)
    distances = (
        item.images * abs(item.confidence - item.accuracy)
        for item in bins
        if item.confidence is not None and item.accuracy is not None
    )
    return sum(distances) / images if images else 0.0


def _mistakes(predicted: Integers, labels: Integers, confidence: Floats, names: Any) -> tuple[Mistake, ...]:
    """Return the wrong predictions, the most confident first; equal ones in the order of the rows."""
    wrong = np.flatnonzero(predicted != labels)
    order = wrong[np.argsort(-confidence[wrong], kind="stable")]
    return tuple(
        Mistake(
            row=int(row),
            name=str(names[row]) if names is not None else str(row),
            true=int(labels[row]),
            predicted=int(predicted[row]),
            confidence=float(confidence[row]),
        )
        for row in order
    )

"""Metrics of predictions: accuracy, balanced accuracy and F1, confusions, calibration, worst mistakes.

Everything is computed from one array of probabilities and one of labels, so `train`, `evaluate` and the report agree.
scikit-learn's definitions are used where it has them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from convscope.arrays import Floats, Integers
from convscope.errors import DataError
from convscope.scoring.confusion_counts import ConfusionCounts, count_confusions
from convscope.scoring.defect_rule import DefectRule
from convscope.scoring.defect_scores import score_defects
from convscope.scoring.objective import Objective
from convscope.scoring.scores import CalibrationBin, ClassScore, Mistake, Scores
from convscope.scoring.threshold_curves import one_vs_rest

SOFTMAX = Objective()
CALIBRATION_BINS = 15  # Guo et al. 2017, section 2


def score(
    probabilities: Floats,
    labels: Integers,
    *,
    classes: tuple[str, ...],
    names: Any = None,
    split: str = "test",
    objective: Objective = SOFTMAX,
    loss: float | None = None,
    ranks: Floats | None = None,
    rule: DefectRule | None = None,
) -> Scores:
    """Measure probabilities (N, classes) against labels (N,); `names` say which image a row is.

    Classes are ranked by `ranks` (N, classes), the scores that probabilities are made of: rounding makes some
    probabilities equal whose scores are not, and which ones depends on the temperature.

    The `loss` is the one by which the network learned, which `objective` says; where it is not given it is taken from
    the probabilities (see `Objective.plain_of_probabilities`). With a `rule` defects are measured by it.

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
        raise DataError("the network gives NaN: its weights or the images are not finite numbers")
    ranks = probabilities if ranks is None else ranks
    predicted = ranks.argmax(1)
    confidence = probabilities.max(1)
    bins = bins_of(probabilities, labels, ranks=ranks)
    counts = count_confusions(predicted, labels, classes=len(classes))
    return Scores(
        split=split,
        classes=classes,
        images=count,
        loss=objective.plain_of_probabilities(probabilities, labels) if loss is None else loss,
        accuracy_top1=float((predicted == labels).mean()),
        accuracy_top5=top_k(ranks, labels, 5) if len(classes) > 5 else None,
        calibration_error=calibration_error(bins),
        counts=counts,
        per_class=per_class(counts, classes),
        calibration=bins,
        mistakes=_mistakes(predicted, labels, confidence, names),
        loss_name=objective.measured,
        curves=one_vs_rest(probabilities, labels[:, None] == np.arange(len(classes)), classes),
        defects=None if rule is None else score_defects(rule, probabilities, labels, classes=classes),
    )


def top_k(ranks: Floats, labels: Integers, k: int) -> float:
    """Return the share of rows (N, classes) whose label is among the k highest; ties count as wrong."""
    truth = ranks[np.arange(len(labels)), labels]
    above = (ranks > truth[:, None]).sum(1)
    tied = (ranks == truth[:, None]).sum(1) - 1
    return float((above + tied < k).mean())


def per_class(counts: ConfusionCounts, classes: tuple[str, ...]) -> tuple[ClassScore, ...]:
    """Return precision, recall and F1 of each class from the confusions; None for a division by 0."""
    of_each = zip(classes, counts.right.tolist(), counts.support.tolist(), counts.predictions.tolist(), strict=True)
    return tuple(
        ClassScore(
            name=name,
            images=support,
            predicted=predicted,
            precision=right / predicted if predicted else None,
            recall=right / support if support else None,
            f1=2 * right / (support + predicted) if support + predicted else None,
        )
        for name, right, support, predicted in of_each
    )


def bins_of(probabilities: Floats, labels: Integers, *, ranks: Floats) -> tuple[CalibrationBin, ...]:
    """Return `calibration_bins` of the most probable classes; `ranks` as in `score`."""
    return calibration_bins(probabilities.max(1), ranks.argmax(1) == labels)


def calibration_bins(confidence: Floats, right: npt.NDArray[np.bool_]) -> tuple[CalibrationBin, ...]:
    """Return equal-width bins of confidence with the accuracy in each (Guo et al. 2017, section 2)."""
    bins = CALIBRATION_BINS
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

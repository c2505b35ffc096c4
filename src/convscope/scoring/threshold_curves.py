"""ROC and precision-recall curves of binary decisions over all thresholds, their areas, and their drawings.

The definitions are scikit-learn's (roc_curve, precision_recall_curve, roc_auc_score, average_precision_score).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from convscope.arrays import Floats, Integers
from convscope.report.charts import Curve, line_chart
from convscope.report.short_repr import ShortRepr
from convscope.report.svg import Drawing, beside
from convscope.report.units import percent, plural

Decisions = npt.NDArray[np.bool_]
DRAWN = 5  # curves that are drawn: of more classes those with the lowest average precision
POINTS = 120  # of a curve that are kept for its drawing


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ThresholdCurve(ShortRepr):
    """One class against all others, or defects against good images, at every threshold of the score.

    Args:
        name: of the positive class.
        positives: images of it; `negatives`: all others.
        roc_auc: the area under the ROC curve, 0 to 1.
        average_precision: the area under the precision-recall curve by steps, 0 to 1.
        roc: (points, 2), the false-positive and true-positive rate, thinned out for drawing.
        precision_recall: (points, 2), recall and precision, likewise.
    """

    name: str
    positives: int
    negatives: int
    roc_auc: float
    average_precision: float
    roc: Floats
    precision_recall: Floats

    def headline(self) -> str:
        """Return the class, both areas and the number of images."""
        images = f"{self.positives:,} of {plural(self.positives + self.negatives, 'image')}"
        return f"{self.name}: AUC {percent(self.roc_auc)}, AP {percent(self.average_precision)}, {images}"

    def to_dict(self) -> dict[str, Any]:
        """Return the areas, and the points of both curves as lists."""
        return {
            "class": self.name,
            "positives": self.positives,
            "negatives": self.negatives,
            "roc_auc": self.roc_auc,
            "average_precision": self.average_precision,
            "false_positive_rate": np.round(self.roc[:, 0], 6),
            "true_positive_rate": np.round(self.roc[:, 1], 6),
            "recall": np.round(self.precision_recall[:, 0], 6),
            "precision": np.round(self.precision_recall[:, 1], 6),
        }


def threshold_curve(name: str, scores: Floats, positive: Decisions) -> ThresholdCurve | None:
    """Return the curves of scores (N,) for `positive` (N,); None unless there are positive and negative images."""
    area, average = roc_auc(scores, positive), average_precision(scores, positive)
    if area is None or average is None:
        return None
    precision, recall, _ = precision_recall_curve(scores, positive)
    return ThresholdCurve(
        name=name,
        positives=int(positive.sum()),
        negatives=int((~positive).sum()),
        roc_auc=area,
        average_precision=average,
        roc=_thinned(np.stack(roc_curve(scores, positive)[:2], 1)),
        precision_recall=_thinned(np.stack([recall, precision], 1)[::-1]),
    )


def one_vs_rest(probabilities: Floats, shown: Decisions, classes: Sequence[str]) -> tuple[ThresholdCurve, ...]:
    """Return the curves of each class against all others, both arrays (N, classes); at most DRAWN of them.

    Of more classes those with the lowest average precision are kept.
    """
    averages = [average_precision(probabilities[:, place], shown[:, place]) for place in range(len(classes))]
    known = [place for place, average in enumerate(averages) if average is not None and not shown[:, place].all()]
    if len(known) > DRAWN:
        known = sorted(sorted(known, key=lambda place: averages[place] or 0.0)[:DRAWN])
    found = (threshold_curve(classes[place], probabilities[:, place], shown[:, place]) for place in known)
    return tuple(curve for curve in found if curve is not None)


def roc_curve(scores: Floats, positive: Decisions) -> tuple[Floats, Floats, Floats]:
    """Return the false-positive rate, the true-positive rate and the threshold at every point, thresholds falling.

    The first point is (0, 0), with a threshold that is infinite (scikit-learn, `drop_intermediate=False`). There must
    be positive and negative images.

    >>> rates = roc_curve(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    >>> [part.tolist() for part in rates[:2]]
    [[0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0]]
    """
    thresholds, hits, called = _by_threshold(scores, positive)
    hits, called = np.r_[0, hits], np.r_[0, called]
    return (called - hits) / (called[-1] - hits[-1]), hits / hits[-1], np.r_[np.inf, thresholds]


def precision_recall_curve(scores: Floats, positive: Decisions) -> tuple[Floats, Floats, Floats]:
    """Return precision, recall and thresholds, thresholds rising; the last point, (1, 0), has no threshold.

    >>> curve = precision_recall_curve(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    >>> [np.round(part, 2).tolist() for part in curve[:2]]
    [[0.5, 0.67, 0.5, 1.0, 1.0], [1.0, 1.0, 0.5, 0.5, 0.0]]
    """
    thresholds, hits, called = _by_threshold(scores, positive)
    return np.r_[(hits / called)[::-1], 1.0], np.r_[(hits / hits[-1])[::-1], 0.0], thresholds[::-1]


def average_precision(probabilities: Floats, shown: Decisions) -> float | None:
    """Return `Σ (recall_n - recall_(n-1)) precision_n` over the thresholds n (N,); None without a positive image.

    >>> average_precision(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.8333333333333333
    """
    if not shown.any():
        return None
    _, hits, called = _by_threshold(probabilities, shown)
    return float(np.sum(np.diff(hits, prepend=0) / hits[-1] * hits / called))


def roc_auc(probabilities: Floats, shown: Decisions) -> float | None:
    """Return the share of (positive, negative) pairs in which the positive has the higher probability; ties count half.

    >>> roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    positives = int(shown.sum())
    negatives = len(shown) - positives
    if not positives or not negatives:
        return None
    _, place, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((ranks[shown].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def curves_figure(curves: Sequence[ThresholdCurve]) -> Drawing:
    """Draw the ROC and the precision-recall curves side by side, each with its area in the legend."""
    return beside(roc_figure(curves), precision_recall_figure(curves), title="ROC and precision-recall curves")


def roc_figure(curves: Sequence[ThresholdCurve]) -> Drawing:
    """Draw the true-positive over the false-positive rate, beside that of chance."""
    lines = [_line(curve, "AUC", curve.roc_auc, curve.roc) for curve in curves]
    return line_chart(
        [*lines, Curve("chance", [0, 100], [0, 100])],
        title="ROC",
        x_label="false-positive rate, %",
        y_label="true-positive rate, %",
        y_limits=(0, 100),
        width=460,
    )


def precision_recall_figure(curves: Sequence[ThresholdCurve]) -> Drawing:
    """Draw precision over recall."""
    return line_chart(
        [_line(curve, "AP", curve.average_precision, curve.precision_recall) for curve in curves],
        title="Precision and recall",
        x_label="recall, %",
        y_label="precision, %",
        y_limits=(0, 100),
        width=460,
    )


def _line(curve: ThresholdCurve, area: str, value: float, points: Floats) -> Curve:
    return Curve(
        f"{curve.name} ({area} {percent(value, decimals=2)})",
        (100 * points[:, 0]).tolist(),
        (100 * points[:, 1]).tolist(),
    )


def _by_threshold(scores: Floats, positive: Decisions) -> tuple[Floats, Integers, Integers]:
    """Return each distinct score, falling, the positive images with it or more, and all images with it or more."""
    order = np.argsort(-scores, kind="stable")
    # Equal scores pass a threshold together.
    last = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    return scores[order][last], np.cumsum(positive[order], dtype=np.int64)[last], last + 1


def _thinned(points: Floats) -> Floats:
    """Return at most POINTS of a curve's points (n, 2), evenly along its length, with both ends."""
    if len(points) <= POINTS:
        return points
    length = np.r_[0.0, np.abs(np.diff(points, axis=0)).sum(1).cumsum()]
    places = np.searchsorted(length, np.linspace(0, length[-1], POINTS - 1))
    kept: Floats = points[np.unique(np.r_[0, places, len(points) - 1])]
    return kept

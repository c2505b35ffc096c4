"""Metrics of multi-label predictions: each class is a binary decision of its own.

The metrics are scikit-learn's (average_precision_score, roc_auc_score, f1_score, accuracy_score of several labels). A
class of which there is no image has no average precision: it is left out of the mean, and named.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from convscope.arrays import Floats
from convscope.data.records import Targets
from convscope.errors import DataError
from convscope.scoring.intervals import ConfidenceInterval, around, influence_on_average_precision
from convscope.scoring.label_scores import LabelMistake, LabelScore, LabelScores
from convscope.scoring.objective import Objective
from convscope.scoring.threshold_curves import average_precision, one_vs_rest, roc_auc

# From this probability on, a class counts as shown.
THRESHOLD = 0.5
# Mistakes that are kept, of each class and kind.
KEPT_MISTAKES = 12


def score_labels(
    probabilities: Floats,
    targets: Targets,
    *,
    classes: tuple[str, ...],
    objective: Objective,
    names: Sequence[str] | None = None,
    split: str = "test",
    threshold: float = THRESHOLD,
    loss: float | None = None,
    ranks: Floats | None = None,
) -> LabelScores:
    """Measure probabilities (N, classes) against targets (N, classes) of 0 and 1; `names` say which image a row is.

    Images are ranked by `ranks` (N, classes), the scores that probabilities are made of, where they are given.
    Where the `loss` is not given, it is taken from the probabilities (see `Objective.plain_of_probabilities`).

    Raises:
        DataError: no images, or probabilities that are not numbers.

    >>> answers, truth = np.array([[0.9, 0.2], [0.1, 0.6], [0.7, 0.9]]), np.array([[1, 0], [0, 0], [0, 1]], np.uint8)
    >>> found = score_labels(answers, truth, classes=("cat", "dog"), objective=Objective(loss="multi-label"))
    >>> found.mean_average_precision, round(found.exact_match, 2), found.wrong
    (1.0, 0.33, 2)
    """
    if not len(targets):
        raise DataError(f"the {split} split has no images to measure on")
    if not np.isfinite(probabilities).all():
        raise DataError("the network gives NaN: its weights or the images are not finite numbers")
    ranks = probabilities if ranks is None else ranks
    shown, predicted = targets > 0, probabilities >= threshold
    per_class = tuple(
        _class_score(name, shown[:, label], predicted[:, label], ranks[:, label]) for label, name in enumerate(classes)
    )
    right, own, called = (
        sum(counts) for counts in zip(*((item.right, item.images, item.predicted) for item in per_class), strict=True)
    )
    # Without a yes in truth and answer there is nothing to divide by, and F1 counts as 0.
    macro = [item.f1 or 0.0 for item in per_class]
    return LabelScores(
        split=split,
        classes=classes,
        images=len(targets),
        loss=objective.plain_of_probabilities(probabilities, targets) if loss is None else loss,
        threshold=threshold,
        mean_average_precision=_mean([item.average_precision for item in per_class]),
        mean_roc_auc=_mean([item.roc_auc for item in per_class]),
        macro_f1=float(np.mean(macro)),
        micro_f1=2 * right / (own + called) if own + called else 0.0,
        exact_match=float((shown == predicted).all(1).mean()),
        unmeasured=tuple(item.name for item in per_class if not item.images),
        per_class=per_class,
        mistakes=_mistakes(probabilities, shown, predicted, names),
        loss_name=objective.measured,
        map_interval=_map_interval(ranks, targets),
        curves=one_vs_rest(ranks, shown, classes),
    )


def _map_interval(ranks: Floats, targets: Targets) -> ConfidenceInterval | None:
    """Return the 95 % interval of mAP; None where no image changes it."""
    value, shown = mean_average_precision(ranks, targets), targets > 0
    if value is None:
        return None
    measured = np.flatnonzero(shown.any(0)).tolist()
    influence = sum(influence_on_average_precision(ranks[:, label], shown[:, label]) for label in measured)
    return around(value, np.asarray(influence / len(measured)))


def mean_average_precision(probabilities: Floats, targets: Targets) -> float | None:
    """Return the mean over the classes (columns) with positive images; None if there are none."""
    return _mean([average_precision(probabilities[:, c], targets[:, c] > 0) for c in range(targets.shape[1])])


def _class_score(
    name: str, shown: npt.NDArray[np.bool_], predicted: npt.NDArray[np.bool_], probabilities: Floats
) -> LabelScore:
    own, called, right = int(shown.sum()), int(predicted.sum()), int((shown & predicted).sum())
    return LabelScore(
        name=name,
        images=own,
        predicted=called,
        right=right,
        precision=right / called if called else None,
        recall=right / own if own else None,
        f1=2 * right / (own + called) if own + called else None,
        average_precision=average_precision(probabilities, shown),
        roc_auc=roc_auc(probabilities, shown),
    )


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _mistakes(
    probabilities: Floats, shown: npt.NDArray[np.bool_], predicted: npt.NDArray[np.bool_], names: Sequence[str] | None
) -> tuple[LabelMistake, ...]:
    """Return the most confident wrong decisions of each class and kind, the most confident first."""
    found = []
    for label in range(shown.shape[1]):
        for missed in (True, False):
            rows = np.flatnonzero((shown[:, label] != predicted[:, label]) & (shown[:, label] == missed))
            sureness = probabilities[rows, label] * (1 if missed else -1)
            for row in rows[np.argsort(sureness, kind="stable")][:KEPT_MISTAKES].tolist():
                name = names[row] if names is not None else str(row)
                found.append(LabelMistake(row, name, label, missed, float(probabilities[row, label])))
    return tuple(sorted(found, key=lambda mistake: (-mistake.sureness, mistake.row, mistake.label)))

"""Answers measured as their labels ask: by accuracy where an image has one class, by mAP where it may have several."""

from __future__ import annotations

from typing import TypeAlias

from convscope.arrays import Floats
from convscope.data.records import ImageSet
from convscope.scoring.metrics import Scores, score
from convscope.scoring.multi_label import LabelScores, mean_average_precision, score_labels
from convscope.scoring.objective import Objective

AnyScores: TypeAlias = Scores | LabelScores


def measure(
    scores: Floats, images: ImageSet, *, classes: tuple[str, ...], split: str, objective: Objective
) -> AnyScores:
    """Return every measure of a network's scores (N, classes) of some images.

    Raises:
        DataError: no images, or scores that are not numbers.
    """
    probabilities = objective.probabilities_of(scores)
    loss = objective.plain_of_scores(scores, images.answers)
    names = images.names
    if images.targets is not None:
        return score_labels(
            probabilities, images.targets, classes=classes, objective=objective, names=names, split=split, loss=loss
        )
    return score(
        probabilities, images.labels, classes=classes, names=names, split=split, objective=objective, loss=loss
    )


def one_measure(probabilities: Floats, images: ImageSet) -> float | None:
    """Return the one number by which weights are chosen, 0 to 1; None if no image has a label."""
    if images.targets is not None:
        return mean_average_precision(probabilities, images.targets)
    return float((probabilities.argmax(1) == images.labels).mean())


def name_of_measure(*, multi_label: bool) -> str:
    """Return the name of `one_measure`."""
    return "mAP" if multi_label else "accuracy"

"""Measures of several labels: a class has one average precision, however sure the network is."""

from __future__ import annotations

import numpy as np

from convscope.scoring.multi_label import score_labels
from convscope.scoring.objective import Objective


def test_the_curves_rank_images_as_the_measures_do() -> None:
    # Both probabilities of the first class round to 1, and the scores tell the images apart.
    scores, targets = np.array([[50.0, 1.0], [60.0, -1.0], [-1.0, 2.0]]), np.array([[0, 1], [1, 0], [0, 1]], np.uint8)
    objective = Objective(loss="multi-label")
    probabilities = objective.probabilities_of(scores)
    assert probabilities[0, 0] == probabilities[1, 0] == 1.0
    found = score_labels(probabilities, targets, classes=("a", "b"), objective=objective, ranks=scores)
    averages = {curve.name: curve.average_precision for curve in found.curves}
    assert averages == {item.name: item.average_precision for item in found.per_class} == {"a": 1.0, "b": 1.0}

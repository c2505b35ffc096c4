"""Laws of the intervals: Wilson's is the textbook's, the others agree with the bootstrap and with differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from convscope.scoring.confusion_counts import count_confusions
from convscope.scoring.intervals import (
    around,
    influence_on_average_precision,
    influence_on_macro_f1,
    of_share,
)
from convscope.scoring.metrics import per_class
from convscope.scoring.multi_label import average_precision


@pytest.mark.parametrize(("right", "images"), [(0, 5), (5, 5), (173, 179), (1, 2)])
def test_interval_of_a_share_is_wilsons(right: int, images: int) -> None:
    theirs = binomtest(right, images).proportion_ci(method="wilson")
    assert of_share(right, images) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def _f1(labels: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    found = per_class(count_confusions(predicted, labels, classes=classes), tuple("abcdef"[:classes]))
    return float(np.mean([item.f1 for item in found if item.f1 is not None]))


def test_interval_of_macro_f1_is_the_bootstraps() -> None:
    draw = np.random.default_rng(0)
    labels = draw.choice(4, 800, p=[0.5, 0.3, 0.15, 0.05])
    predicted = np.where(draw.random(800) < 0.8, labels, draw.integers(0, 4, 800))
    counts = count_confusions(predicted, labels, classes=4)
    found = around(_f1(labels, predicted, 4), influence_on_macro_f1(counts), counts.images)
    rows = draw.integers(0, 800, (400, 800))
    theirs = np.percentile([_f1(labels[some], predicted[some], 4) for some in rows], [2.5, 97.5])
    assert found == pytest.approx(theirs, abs=0.01)


def test_interval_of_average_precision_is_the_bootstraps() -> None:
    draw = np.random.default_rng(1)
    shown = draw.random(600) < 0.2
    ranks = np.round(draw.normal(size=600) + 1.5 * shown, 1)  # with ties
    found = around(average_precision(ranks, shown) or 0.0, influence_on_average_precision(ranks, shown))
    values = [average_precision(ranks[some], shown[some]) for some in draw.integers(0, 600, (500, 600))]
    theirs = np.percentile([value for value in values if value is not None], [2.5, 97.5])
    assert found == pytest.approx(theirs, abs=0.015)


def test_influence_is_what_one_image_more_changes() -> None:
    draw = np.random.default_rng(2)
    shown = draw.random(3_000) < 0.3
    ranks = np.round(draw.normal(size=3_000) + shown, 1)
    influence = influence_on_average_precision(ranks, shown)
    whole = average_precision(ranks, shown)
    assert whole is not None and influence.sum() == pytest.approx(0, abs=1e-9)
    for row in range(0, 3_000, 500):
        more = average_precision(np.append(ranks, ranks[row]), np.append(shown, shown[row]))
        assert more is not None and more - whole == pytest.approx(influence[row], abs=2e-6)


def test_a_measure_that_no_image_changes_has_no_interval() -> None:
    labels = np.repeat([0, 1], 5)
    for predicted in (labels, 1 - labels):  # every image right, and none
        counts = count_confusions(predicted, labels, classes=2)
        assert around(0.0, influence_on_macro_f1(counts), counts.images) is None
    for positives in range(1, 40):  # each of another rank, and all before the others
        ranks = np.arange(50.0)[::-1]
        assert around(1.0, influence_on_average_precision(ranks, np.arange(50) < positives)) is None


def test_the_interval_of_a_share_ends_exactly_where_shares_do() -> None:
    for images in (1, 3, 10, 49, 12_345, 10**9):
        assert of_share(0, images)[0] == 0.0 < of_share(0, images)[1] < 1
        assert 0 < of_share(images, images)[0] < of_share(images, images)[1] == 1.0

"""The measures equal scikit-learn's, and what can't be measured says so."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from convscope.errors import DataError
from convscope.train.answers.metrics import Scores, calibration_bins, calibration_error, score, top_k

_CASES = (st.integers(0, 10**6), st.integers(1, 60), st.integers(2, 12))


def _scored(seed: int, count: int, classes: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], Scores]:
    draw = np.random.default_rng(seed)
    scores = draw.normal(size=(count, classes)) * 2
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    labels = draw.integers(0, classes, count)
    return probabilities, labels, score(probabilities, labels, classes=tuple(map(str, range(classes))))


@given(*_CASES)
def test_measures_equal_scikit_learns(seed: int, count: int, classes: int) -> None:
    probabilities, labels, found = _scored(seed, count, classes)
    every = list(range(classes))
    predicted = probabilities.argmax(1)
    assert found.accuracy_top1 == pytest.approx(accuracy_score(labels, predicted))
    assert found.confusion.tolist() == confusion_matrix(labels, predicted, labels=every).tolist()
    assert found.loss == pytest.approx(log_loss(labels, probabilities, labels=every))
    if classes > 5:
        assert found.accuracy_top5 == pytest.approx(top_k_accuracy_score(labels, probabilities, k=5, labels=every))
    else:
        assert found.accuracy_top5 is None
    precision, recall, f1, images = precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0)
    for place, row in enumerate(found.per_class):
        assert (row.precision or 0.0) == pytest.approx(precision[place])
        assert (row.recall or 0.0) == pytest.approx(recall[place])
        assert (row.f1 or 0.0) == pytest.approx(f1[place])
        assert row.images == images[place]


@given(*_CASES)
def test_parts_add_up(seed: int, count: int, classes: int) -> None:
    _, labels, found = _scored(seed, count, classes)
    assert found.confusion.sum() == count == sum(item.images for item in found.calibration)
    assert len(found.mistakes) == count - found.confusion.trace()
    confidences = [mistake.confidence for mistake in found.mistakes]
    assert confidences == sorted(confidences, reverse=True)
    assert all(labels[mistake.row] == mistake.true != mistake.predicted for mistake in found.mistakes)
    assert 0 <= found.calibration_error <= 1


def test_ties_count_against_the_network() -> None:
    assert top_k(np.full((4, 10), 0.1), np.arange(4), 5) == 0.0


def test_a_network_that_is_always_sure_and_half_right_is_half_off() -> None:
    bins = calibration_bins(np.ones(10), np.arange(10) < 5)
    assert calibration_error(bins) == pytest.approx(0.5)


def test_a_class_without_images_has_no_recall() -> None:
    found = score(np.array([[0.9, 0.1]]), np.array([0]), classes=("cat", "dog"))
    assert (found.per_class[1].recall, found.per_class[1].precision, found.per_class[1].f1) == (None, None, None)


def test_nan_is_not_class_0() -> None:
    with pytest.raises(DataError, match="NaN"):
        score(np.full((1, 2), np.nan), np.array([0]), classes=("cat", "dog"))


def test_nothing_to_measure_is_an_error() -> None:
    with pytest.raises(DataError, match="no images"):
        score(np.zeros((0, 2)), np.zeros(0, np.int64), classes=("cat", "dog"))

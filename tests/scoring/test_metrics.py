"""The measures equal scikit-learn's, and what can't be measured says so."""

from __future__ import annotations

import tracemalloc
import warnings

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from convscope.errors import DataError
from convscope.scoring.confusion_counts import count_confusions
from convscope.scoring.measured import cautions
from convscope.scoring.metrics import calibration_bins, calibration_error, per_class, score, top_k
from convscope.scoring.scores import Scores

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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are predicted and have no images
        assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert found.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro", zero_division=0))
    constant = DummyClassifier(strategy="most_frequent").fit(probabilities, labels)
    assert found.largest_share == pytest.approx(constant.score(probabilities, labels))
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


def test_equal_classes_have_one_accuracy() -> None:
    draw = np.random.default_rng(3)
    labels = np.repeat(np.arange(4), 25)
    found = score(draw.dirichlet(np.ones(4), 100), labels, classes=tuple("abcd"))
    assert found.balanced_accuracy == pytest.approx(found.accuracy_top1)
    assert not found.unequal and found.unmeasured == ()
    assert not any("of class" in line or "hardly" in line for line in cautions(found, class_weights="none"))


def test_what_an_accuracy_hides_is_said() -> None:
    labels = np.array([0] * 90 + [1] * 6 + [2] * 4)
    predicted = np.array([0] * 90 + [0] * 6 + [2] * 4)
    found = score(np.eye(4)[predicted], labels, classes=("big", "rare", "small", "none\x1b[2J"))
    assert (found.accuracy_top1, found.balanced_accuracy) == (0.94, pytest.approx(2 / 3))
    assert [item.name for item in found.hidden] == ["rare"] and found.unequal and found.largest.name == "big"
    lines = cautions(found, class_weights="none")
    assert lines == (
        "no test images of 'none\\x1b[2J': nothing is measured of it",
        "90.0 % of the test images are of class 'big': predicting it always has that accuracy",
        "hardly found: 'rare' (0 of 6): to weigh rare classes more, train with class_weights='balanced'",
    )
    assert not any("class_weights" in line for line in cautions(found, class_weights="balanced"))
    values = found.to_dict()
    assert (values["largest_class"], values["largest_class_share"]) == ("big", 0.9)
    assert values["classes_without_images"] == ["none\x1b[2J"]


def test_many_classes_without_images_are_named_in_few_words() -> None:
    found = score(np.eye(50)[:2], np.array([0, 1]), classes=tuple(f"c{number}" for number in range(50)), split="val")
    (line,) = cautions(found, class_weights="none")
    assert line == "no validation images of 'c2', 'c3', 'c4' and 45 more: nothing is measured of them"


def test_confusions_of_21_000_classes_take_little_memory() -> None:
    draw, classes = np.random.default_rng(0), 21_000
    labels, predicted = draw.integers(0, classes, (2, 3_000))
    predicted[::2] = labels[::2]
    labels[1:8:2], predicted[1:8:2] = 7, 20_999
    tracemalloc.start()
    counts = count_confusions(predicted, labels, classes=classes)
    names = tuple(map(str, range(classes)))
    right = (labels == predicted).mean()
    scores = Scores(
        split="test", classes=names, images=3_000, loss=0.0, accuracy_top1=float(right), accuracy_top5=None,
        calibration_error=0.0, counts=counts, per_class=per_class(counts, names), calibration=(), mistakes=(),
    )  # fmt: skip
    assert scores.macro_f1_interval is not None and scores.figure().title.startswith("The ")
    found = scores.to_dict()
    assert found["confusion_matrix"] is None
    assert found["most_confused"][0] == {"true": "7", "predicted": "20999", "images": 4}
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()

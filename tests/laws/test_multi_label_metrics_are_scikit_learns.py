"""Measures of several labels equal scikit-learn's, ties and rare classes included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score

from convscope.errors import DataError
from convscope.scoring.multi_label import mean_average_precision, score_labels
from convscope.scoring.objective import Objective
from convscope.scoring.threshold_curves import average_precision, precision_recall_curve, roc_auc, roc_curve

OBJECTIVE = Objective(loss="multi-label")


@given(
    rows=st.integers(2, 60),
    steps=st.sampled_from([2, 5, 1000]),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**31),
)
def test_curves_and_their_areas(rows: int, steps: int, share: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    # Few steps make many ties.
    probabilities = draw.integers(0, steps + 1, rows) / steps
    shown = draw.random(rows) < share
    shown[0], shown[1] = True, False
    assert average_precision(probabilities, shown) == pytest.approx(average_precision_score(shown, probabilities))
    assert roc_auc(probabilities, shown) == pytest.approx(roc_auc_score(shown, probabilities))
    theirs = metrics.roc_curve(shown, probabilities, drop_intermediate=False)
    for ours, expected in zip(roc_curve(probabilities, shown), theirs, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-12)
    theirs = metrics.precision_recall_curve(shown, probabilities)
    for ours, expected in zip(precision_recall_curve(probabilities, shown), theirs, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_the_whole_table_of_measures() -> None:
    draw = np.random.default_rng(0)
    targets = (draw.random((200, 5)) < (0.5, 0.3, 0.2, 0.1, 0.05)).astype(np.uint8)
    probabilities = np.clip(targets * 0.3 + draw.random((200, 5)) * 0.7, 0, 1)
    said = probabilities >= 0.4
    found = score_labels(probabilities, targets, classes=("a", "b", "c", "d", "e"), objective=OBJECTIVE, threshold=0.4)
    assert found.mean_average_precision == pytest.approx(average_precision_score(targets, probabilities))
    assert found.mean_average_precision == mean_average_precision(probabilities, targets)
    assert found.mean_roc_auc == pytest.approx(roc_auc_score(targets, probabilities))
    assert found.macro_f1 == pytest.approx(f1_score(targets, said, average="macro"))
    assert found.micro_f1 == pytest.approx(f1_score(targets, said, average="micro"))
    assert found.exact_match == accuracy_score(targets, said)
    assert [item.f1 for item in found.per_class] == pytest.approx(f1_score(targets, said, average=None))
    assert found.wrong == int((said != targets).sum())


def test_a_class_without_images_is_left_out_of_the_means_and_named() -> None:
    targets = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0]], np.uint8)
    probabilities = np.array([[0.9, 0.2, 0.9], [0.3, 0.8, 0.1], [0.6, 0.1, 0.2]])
    found = score_labels(probabilities, targets, classes=("a", "b", "never"), objective=OBJECTIVE)
    assert found.unmeasured == ("never",)
    assert found.mean_average_precision == pytest.approx(average_precision_score(targets[:, :2], probabilities[:, :2]))
    assert found.per_class[2].average_precision is None and found.per_class[2].predicted == 1
    nothing = score_labels(probabilities, targets * 0, classes=("a", "b", "never"), objective=OBJECTIVE)
    assert nothing.mean_average_precision is None and nothing.mean_roc_auc is None


def test_the_worst_mistakes_come_first_and_say_of_which_kind_they_are() -> None:
    targets = np.array([[1, 0], [0, 0], [1, 1]], np.uint8)
    probabilities = np.array([[0.05, 0.99], [0.2, 0.7], [0.9, 0.3]])
    found = score_labels(
        probabilities, targets, classes=("a", "b"), objective=OBJECTIVE, names=["x.png", "y.png", "z.png"]
    )
    assert [(m.name, found.classes[m.label], m.shown) for m in found.mistakes] == [
        ("x.png", "b", False),
        ("x.png", "a", True),
        ("y.png", "b", False),
        ("z.png", "b", True),
    ]
    assert found.to_dict(mistakes=1)["worst_mistakes"][0]["probability"] == 0.99


def test_answers_that_are_no_numbers() -> None:
    targets = np.ones((2, 2), np.uint8)
    with pytest.raises(DataError, match="NaN"):
        score_labels(np.full((2, 2), np.nan), targets, classes=("a", "b"), objective=OBJECTIVE)
    with pytest.raises(DataError, match="no images"):
        score_labels(np.zeros((0, 2)), targets[:0], classes=("a", "b"), objective=OBJECTIVE)

"""The threshold keeps a wanted miss rate whatever the scores; its shares and curves are scikit-learn's."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, roc_auc_score

from convscope.errors import RunError
from convscope.scoring.defect_rule import DefectRule, defects_needed, require_enough
from convscope.scoring.defect_scores import Share, score_defects
from convscope.scoring.metrics import score
from convscope.scoring.threshold_curves import DRAWN, POINTS, one_vs_rest, threshold_curve

RULE = DefectRule(good_class="good")


@given(st.integers(1, 400), st.sampled_from([0.005, 0.01, 0.05, 0.07, 0.29, 0.5]), st.integers(0, 2**31))
def test_of_all_orders_of_n_plus_one_scores_no_larger_share_is_missed(defects: int, wanted: float, seed: int) -> None:
    """Leave each of n + 1 exchangeable scores out: how many lie below the threshold of the rest is the promise."""
    scores = np.random.default_rng(seed).integers(0, 30, defects + 1) / 30  # ties
    if defects < defects_needed(wanted):
        with pytest.raises(RunError, match=f"takes {defects_needed(wanted)} validation defect"):
            RULE.chosen_for(wanted, scores[1:])
        return
    missed = sum(
        not RULE.chosen_for(wanted, np.delete(scores, row)).flags(scores[row : row + 1])[0]
        for row in range(0, defects + 1)
    )
    assert Fraction(missed, defects + 1) <= Fraction(str(wanted))


@pytest.mark.parametrize("wanted", [0.001, 0.01, 0.03, 1 / 3, 0.5])
def test_the_number_of_defects_that_is_needed_is_the_smallest(wanted: float) -> None:
    needed = defects_needed(wanted)
    require_enough(needed, wanted)
    with pytest.raises(RunError, match="hold back more"):
        require_enough(needed - 1, wanted)
    with pytest.raises(RunError, match="put more of them into its validation split"):
        require_enough(needed - 1, wanted, own_val=True)


def test_the_rate_that_is_named_as_reachable_is() -> None:
    for defects in range(1, 300):
        with pytest.raises(RunError) as caught:
            require_enough(defects, 0.001)
        require_enough(defects, float(str(caught.value).split("or take ")[1].removesuffix(" or more")))


@given(st.integers(1, 3000), st.floats(0, 1))
def test_the_interval_is_wilsons(images: int, share: float) -> None:
    count = round(share * images)
    expected = binomtest(count, images).proportion_ci(method="wilson")
    assert Share(count, images).interval == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_missed_and_false_alarms_are_a_confusion_matrix() -> None:
    draw = np.random.default_rng(0)
    probabilities = draw.dirichlet((1, 1, 1), 500)
    labels = draw.integers(0, 3, 500)
    rule = DefectRule(good_class="good", threshold=0.7)
    found = score_defects(rule, probabilities, labels, classes=("bent", "good", "scratch"))
    defect, flagged = labels != 1, 1 - probabilities[:, 1] >= 0.7
    (right, alarms), (missed, _) = confusion_matrix(defect, flagged)
    assert (found.missed, found.false_alarms) == (Share(missed, defect.sum()), Share(alarms, right + alarms))
    assert sum(share.count for _, share in found.by_class) == missed
    assert found.curve is not None
    assert found.curve.roc_auc == pytest.approx(roc_auc_score(defect, 1 - probabilities[:, 1]))


def test_curves_are_thinned_within_their_ends_and_many_classes_are_bounded() -> None:
    draw = np.random.default_rng(0)
    positive = draw.random(5000) < 0.2
    curve = threshold_curve("x", draw.normal(positive, 1), positive)
    assert curve is not None and len(curve.roc) <= POINTS + 1
    assert curve.roc[0].tolist() == [0, 0] and curve.roc[-1].tolist() == [1, 1]
    assert np.trapezoid(curve.roc[:, 1], curve.roc[:, 0]) == pytest.approx(curve.roc_auc, abs=0.005)
    probabilities = draw.dirichlet(np.ones(30), 400)
    classes = tuple(map(str, range(30)))
    assert len(one_vs_rest(probabilities, np.eye(30, dtype=bool)[draw.integers(0, 30, 400)], classes)) == DRAWN
    assert one_vs_rest(probabilities[:, :1], np.ones((400, 1), bool), ("only",)) == ()


def test_a_split_without_defects_or_without_good_images_has_no_rate() -> None:
    answers = np.tile([0.7, 0.3], (4, 1))
    for label, lacking in ((0, "missed"), (1, "false_alarms")):
        found = score(answers, np.full(4, label), classes=("good", "bad"), rule=RULE)
        assert found.defects is not None and getattr(found.defects, lacking).value is None
        assert found.shown_curves == () and found.to_dict()["curves"] == []
        assert "no such images" in str(found)

"""Laws of temperature scaling: it finds the temperature that was there, and changes no ranking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.arrays import Floats, Integers
from convscope.data.records import ImageSet
from convscope.scoring.calibration import LARGEST, temperature_of
from convscope.scoring.label_scores import LabelScores
from convscope.scoring.measured import measure
from convscope.scoring.objective import Objective
from convscope.scoring.scores import Scores

CLASSES = tuple("abcdefgh")


def labelled(labels: Integers, targets: Integers | None = None) -> ImageSet:
    pixels = np.zeros((len(labels), 1, 1, 1), np.uint8)
    return ImageSet(pixels, labels, [""] * len(labels), targets)


def drawn(count: int, *, seed: int = 0) -> tuple[Floats, Integers]:
    """Return logits whose softmax is the probability of the labels beside them."""
    draw = np.random.default_rng(seed)
    scores = draw.normal(size=(count, len(CLASSES))) * 2
    noise = draw.gumbel(size=scores.shape)
    return scores, (scores + noise).argmax(1)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("loss", ["softmax", "hinge"])
def test_temperature_of_a_softmax_is_found(temperature: float, loss: str) -> None:
    scores, labels = drawn(20_000)
    found = temperature_of(scores * temperature, labelled(labels), Objective(loss=loss))
    assert found == pytest.approx(temperature, rel=0.03)


@pytest.mark.parametrize("temperature", [0.3, 4.0])
def test_temperature_of_sigmoids_is_found(temperature: float) -> None:
    scores, _ = drawn(10_000)
    targets = (np.random.default_rng(1).random(scores.shape) < 1 / (1 + np.exp(-scores))).astype(np.uint8)
    images = labelled(np.zeros(len(scores), np.int64), targets)
    found = temperature_of(scores * temperature, images, Objective(loss="multi-label"))
    assert found == pytest.approx(temperature, rel=0.03)


def test_the_temperature_has_the_lowest_cross_entropy() -> None:
    scores, labels = drawn(5_000, seed=3)
    scores = scores * 2.5
    found = temperature_of(scores, labelled(labels), Objective())
    losses = [Objective(temperature=found * factor).plain_of_scores(scores, labels) for factor in (0.97, 1.0, 1.03)]
    assert losses[1] < min(losses[0], losses[2])


@given(st.integers(0, 10_000), st.floats(0.05, LARGEST), st.sampled_from(["softmax", "hinge", "logistic"]))
@settings(max_examples=30, deadline=None)
def test_no_temperature_changes_a_ranking(seed: int, temperature: float, loss: str) -> None:
    draw = np.random.default_rng(seed)
    # Ties, and scores so high that probabilities are rounded to 0 and 1.
    scores = np.round(draw.normal(size=(50, len(CLASSES))), 1) * draw.choice([1.0, 30.0, 800.0])
    images = labelled(draw.integers(0, len(CLASSES), 50))
    one, other = (
        measure(scores, images, classes=CLASSES, split="test", objective=Objective(loss=loss, temperature=value))
        for value in (1.0, temperature)
    )
    assert isinstance(one, Scores) and isinstance(other, Scores)
    for name in ("accuracy_top1", "accuracy_top5", "balanced_accuracy", "macro_f1"):
        assert getattr(one, name) == getattr(other, name)
    assert (one.confusion == other.confusion).all()
    assert {mistake.row for mistake in one.mistakes} == {mistake.row for mistake in other.mistakes}


def test_no_temperature_changes_decisions_on_several_labels() -> None:
    draw = np.random.default_rng(0)
    scores = np.round(draw.normal(size=(60, 3)), 1) * 30
    images = labelled(np.zeros(60, np.int64), draw.integers(0, 2, (60, 3)).astype(np.uint8))
    one, other = (
        measure(scores, images, classes=CLASSES[:3], split="test", objective=objective)
        for objective in (Objective(loss="multi-label"), Objective(loss="multi-label", temperature=3.7))
    )
    assert isinstance(one, LabelScores) and isinstance(other, LabelScores)
    assert one.per_class == other.per_class
    assert one.mean_average_precision == other.mean_average_precision


@pytest.mark.parametrize("right", [0, 1, 2, 3])
def test_few_images_give_no_absurd_temperature(right: int) -> None:
    scores = np.array([[6.0, 1.0], [6.0, 1.0], [6.0, 1.0]])
    found = temperature_of(scores, labelled((np.arange(3) >= right).astype(np.int64)), Objective())
    assert 0.3 < found <= LARGEST


def test_scores_that_say_nothing_have_no_temperature() -> None:
    empty = labelled(np.zeros(0, np.int64))
    assert temperature_of(np.zeros((0, 3)), empty, Objective()) == 1
    alike = labelled(np.array([0, 1]))
    assert temperature_of(np.zeros((2, 3)), alike, Objective()) == 1
    assert temperature_of(np.array([[np.nan, 0, 0], [1, 0, 0]]), alike, Objective()) == 1

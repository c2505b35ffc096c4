"""The solved head is scikit-learn's, of the same objective."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from convscope.errors import RunError
from convscope.scoring import linear_penalty
from convscope.scoring.linear_fit import require_solvable, solve
from convscope.scoring.linear_penalty import GRID, Samples, fit_head, seconds_to_fit
from convscope.scoring.objective import Objective

IMAGES, FEATURES, CLASSES = 150, 12, 4


@pytest.fixture(scope="module")
def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (IMAGES,), generator=draw)
    centres = torch.randn(CLASSES, FEATURES, generator=draw, dtype=torch.float64)
    return centres[labels] + torch.randn(IMAGES, FEATURES, generator=draw, dtype=torch.float64), labels


def sklearns(l2: float, **settings: object) -> LogisticRegression:
    return LogisticRegression(C=1 / (l2 * IMAGES), tol=1e-8, max_iter=2000, **settings)


@pytest.mark.parametrize("l2", [1.0, 0.01, 0.0005])
@pytest.mark.parametrize("biased", [True, False])
def test_softmax_is_scikit_learns(drawn, l2: float, biased: bool) -> None:
    features, labels = drawn
    ours = solve(features, labels, Objective(), l2=l2, classes=CLASSES, biased=biased, most_steps=1000)
    theirs = sklearns(l2, fit_intercept=biased).fit(features.numpy(), labels.numpy())
    np.testing.assert_allclose(ours.weight, theirs.coef_, rtol=2e-3, atol=2e-3)
    # Scores may differ by a number that all classes share, which changes no probability.
    np.testing.assert_allclose(
        ours.bias - ours.bias.mean(), theirs.intercept_ - theirs.intercept_.mean(), rtol=2e-3, atol=2e-3
    )


def test_class_weights_are_scikit_learns(drawn) -> None:
    features, labels = drawn
    weights = torch.tensor([3.0, 1.0, 0.5, 1.0], dtype=torch.float64)
    ours = solve(features, labels, Objective(class_weights=weights), l2=0.01, classes=CLASSES, most_steps=1000)
    named = dict(enumerate(weights.tolist()))
    theirs = sklearns(0.01, class_weight=named).fit(features.numpy(), labels.numpy())
    np.testing.assert_allclose(ours.weight, theirs.coef_, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("loss", ["multi-label", "logistic"])
def test_several_labels_are_one_logistic_regression_each(drawn, loss: str) -> None:
    features, labels = drawn
    several = torch.nn.functional.one_hot(labels, CLASSES).double()
    if loss == "multi-label":
        several[:, 0] = (features[:, 0] > 0).double()
    targets = several if loss == "multi-label" else labels
    ours = solve(features, targets, Objective(loss=loss), l2=0.02, classes=CLASSES, most_steps=1000)
    for number in range(CLASSES):
        theirs = sklearns(0.02).fit(features.numpy(), several[:, number].numpy())
        np.testing.assert_allclose(ours.weight[number], theirs.coef_[0], rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose(ours.bias[number], theirs.intercept_[0], rtol=2e-3, atol=2e-3)


def test_label_smoothing_makes_the_smallest_smoothed_loss(drawn) -> None:
    features, labels = drawn
    objective = Objective(label_smoothing=0.1)
    smoothed, plain = (
        solve(features, labels, some, l2=1e-3, classes=CLASSES, most_steps=1000) for some in (objective, Objective())
    )
    of_smoothed, of_plain = (float(objective(fit.scores(features), labels)) for fit in (smoothed, plain))
    assert of_smoothed == pytest.approx(smoothed.loss) and of_smoothed < of_plain


def test_a_loss_that_is_not_smooth_is_refused() -> None:
    with pytest.raises(RunError, match="no hinge loss, which is not smooth: take loss softmax, or head train"):
        require_solvable("hinge")


def test_a_fit_is_of_the_features_as_they_are(drawn) -> None:
    """Scaling is folded into the weights: scikit-learn with a StandardScaler before it has the same probabilities."""
    features, labels = drawn
    features = features * torch.logspace(-2, 2, FEATURES, dtype=torch.float64) + 7
    samples = Samples(features=features, targets=labels, units=np.arange(IMAGES))
    found = fit_head(samples, None, Objective(), classes=CLASSES, biased=True, l2=0.01)
    theirs = make_pipeline(StandardScaler(), sklearns(0.01)).fit(features.numpy(), labels.numpy())
    ours = torch.softmax(found.fit.scores(features), 1)
    np.testing.assert_allclose(ours, theirs.predict_proba(features.numpy()), atol=1e-4)
    assert found.trials == () and found.l2 == 0.01


def test_the_penalty_is_chosen_on_many_validation_images_and_else_by_folds(drawn) -> None:
    features, labels = drawn
    noise = torch.randn(IMAGES, 60, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    samples = Samples(features=torch.cat([features, noise], 1), targets=labels, units=np.arange(IMAGES))
    many = Samples(features=samples.features.repeat(2, 1), targets=labels.repeat(2), units=np.arange(2 * IMAGES))
    by_folds = fit_head(samples, None, Objective(), classes=CLASSES, biased=True)
    assert by_folds.chosen_on == "5 folds of the training images" and GRID[-1] < by_folds.l2 < GRID[0]
    assert by_folds.l2 == min(by_folds.trials, key=lambda trial: trial.loss).l2
    # Validation that repeats the training images rewards the weakest penalty.
    on_val = fit_head(samples, many, Objective(), classes=CLASSES, biased=True)
    assert on_val.chosen_on == "the validation images" and on_val.l2 == GRID[-1]
    again = fit_head(samples, many, Objective(), classes=CLASSES, biased=True, l2=on_val.l2)
    assert torch.allclose(on_val.fit.weight, again.fit.weight, atol=0.05)


def test_views_of_one_image_and_images_of_one_group_are_in_one_fold(drawn) -> None:
    """Else each fold would be fitted to other views of what it is measured on, and the weakest penalty would win."""
    features, labels = drawn[0][:, :3], drawn[1]
    noise = torch.randn(IMAGES, 80, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    once = torch.cat([features, noise], 1)
    units = np.arange(IMAGES)
    views = Samples(features=once.repeat(2, 1), targets=labels.repeat(2), units=np.tile(units, 2))
    apart = Samples(features=once.repeat(2, 1), targets=labels.repeat(2), units=np.arange(2 * IMAGES))
    found, leaking = (fit_head(some, None, Objective(), classes=CLASSES, biased=True).l2 for some in (views, apart))
    assert found > leaking


def test_the_time_of_a_fit_is_that_of_its_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def tick() -> float:
        clock[0] += 0.01
        return clock[0]

    monkeypatch.setattr(linear_penalty.time, "perf_counter", tick)
    before = torch.random.get_rng_state()

    def seconds(loss: str = "softmax", *, samples: int = 1000, validated: int = 200, l2: float = 0.0) -> float:
        objective = Objective(loss=loss)
        return seconds_to_fit(objective, samples=samples, features=2**10, classes=CLASSES, validated=validated, l2=l2)

    # On a clock by which each evaluation takes 0.01 s: 200 of them, in the grid on five folds where few are validated.
    assert seconds() == pytest.approx(2.0) and seconds("multi-label") == pytest.approx(2.0)
    assert seconds(validated=0) == pytest.approx(6.0) and seconds(validated=0, l2=0.1) == pytest.approx(2.0)
    # What is timed is a part of 2**22 numbers.
    assert seconds(samples=2**14) == pytest.approx(8.0)
    assert torch.equal(torch.random.get_rng_state(), before)

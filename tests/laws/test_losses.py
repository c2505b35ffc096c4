"""Each loss is what the field calls by its name: torch's, scikit-learn's, the reference's, and its formula."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from convscope.cli.main import cli
from convscope.data.open import probe
from convscope.errors import RunError
from convscope.nets.modules import evaluation_mode
from convscope.recipe.class_weights import class_weights
from convscope.recipe.recipe import Recipe
from convscope.reference import loss as reference
from convscope.runs.run_like import open_run
from convscope.scoring.losses import LOSSES
from convscope.scoring.metrics import score
from convscope.scoring.multi_label import score_labels
from convscope.scoring.objective import Objective
from convscope.training.resolve.resolve import resolve

COUNT, CLASSES = 7, 5
SINGLE = ("softmax", "hinge", "logistic")


def scores() -> torch.Tensor:
    return torch.randn(COUNT, CLASSES, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2


def labels() -> torch.Tensor:
    return torch.tensor([0, 4, 2, 2, 1, 3, 2])


def answers() -> torch.Tensor:
    return torch.randint(0, 2, (COUNT, CLASSES), generator=torch.Generator().manual_seed(2)).double()


def targets_of(loss: str) -> torch.Tensor:
    return answers() if loss == "multi-label" else labels()


def one_hot() -> torch.Tensor:
    return functional.one_hot(labels(), CLASSES).double()


def test_softmax_is_the_cross_entropy_of_torch_scikit_learn_and_the_reference() -> None:
    value = float(Objective()(scores(), labels()))
    assert value == pytest.approx(float(functional.cross_entropy(scores(), labels())))
    assert value == pytest.approx(log_loss(labels(), functional.softmax(scores(), 1), labels=range(CLASSES)))
    assert value == pytest.approx(reference.softmax_cross_entropy(scores().numpy(), labels().numpy()))
    smoothed = Objective(label_smoothing=0.2)(scores(), labels())
    assert torch.allclose(smoothed, functional.cross_entropy(scores(), labels(), label_smoothing=0.2))


def test_hinge_sums_what_the_wrong_classes_lack_of_the_margin() -> None:
    value = float(Objective(loss="hinge")(scores(), labels()))
    s = scores().tolist()
    lacking = [
        sum(max(0.0, s[i][j] - s[i][y] + 1) for j in range(CLASSES) if j != y) for i, y in enumerate(labels().tolist())
    ]
    assert value == pytest.approx(sum(lacking) / COUNT)
    assert value == pytest.approx(float(functional.multi_margin_loss(scores(), labels())) * CLASSES)
    assert value == pytest.approx(reference.hinge(scores().numpy(), labels().numpy()))


def test_logistic_and_multi_label_sum_the_yes_and_no_of_each_class() -> None:
    for loss, targets, shares in (("logistic", labels(), one_hot()), ("multi-label", answers(), answers())):
        value = float(Objective(loss=loss)(scores(), targets))
        of_torch = functional.binary_cross_entropy_with_logits(scores(), shares)
        assert value == pytest.approx(CLASSES * float(of_torch))
        assert value == pytest.approx(CLASSES * reference.logistic(scores().numpy(), shares.numpy()))
        smoothed = float(Objective(loss=loss, label_smoothing=0.2)(scores(), targets))
        of_torch = functional.binary_cross_entropy_with_logits(scores(), shares * 0.8 + 0.1)
        assert smoothed == pytest.approx(CLASSES * float(of_torch))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_are_those_of_finite_differences(loss: str, weighted: bool) -> None:
    weights = torch.linspace(0.5, 2, CLASSES, dtype=torch.float64) if weighted else None
    objective = Objective(loss=loss, label_smoothing=0.0 if loss == "hinge" else 0.1, class_weights=weights)
    leaf = scores().requires_grad_()
    assert torch.autograd.gradcheck(lambda values: objective(values, targets_of(loss)), (leaf,))


@pytest.mark.parametrize(
    ("loss", "backward", "factor"),
    [
        ("softmax", reference.softmax_cross_entropy_backward, 1),
        ("hinge", reference.hinge_backward, 1),
        ("multi-label", reference.logistic_backward, CLASSES),
    ],
)
def test_gradients_are_the_references(loss: str, backward, factor: int) -> None:
    leaf = scores().requires_grad_()
    (gradient,) = torch.autograd.grad(Objective(loss=loss)(leaf, targets_of(loss)), leaf)
    assert np.allclose(gradient.numpy(), factor * backward(scores().numpy(), targets_of(loss).numpy()))


@pytest.mark.parametrize("loss", LOSSES)
def test_what_metrics_show_leaves_smoothing_and_weights_out_and_can_be_told_from_probabilities(loss: str) -> None:
    weights = torch.linspace(0.5, 2, CLASSES, dtype=torch.float64)
    trained = Objective(loss=loss, label_smoothing=0.0 if loss == "hinge" else 0.3, class_weights=weights)
    plain = float(trained.plain(scores(), targets_of(loss)))
    assert plain == pytest.approx(float(Objective(loss=loss)(scores(), targets_of(loss))))
    assert float(trained(scores(), targets_of(loss))) != pytest.approx(plain)
    probabilities = trained.probabilities(scores()).numpy()
    assert plain == pytest.approx(trained.plain_of_probabilities(probabilities, targets_of(loss).numpy()))
    assert plain == pytest.approx(trained.plain_of_scores(scores().numpy(), targets_of(loss).numpy()))
    assert math.isnan(trained.plain_of_scores(scores().numpy() * math.nan, targets_of(loss).numpy()))
    assert math.isnan(trained.plain_of_probabilities(probabilities * math.nan, targets_of(loss).numpy()))


@pytest.mark.parametrize("loss", ["softmax", "logistic"])
@pytest.mark.parametrize("weights", [None, (1.0, 2.0, 0.5, 1.0, 3.0)])
def test_soft_targets_of_one_class_are_its_label_and_shares_mix_the_losses(loss: str, weights) -> None:
    tensor = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    objective = Objective(loss=loss, label_smoothing=0.1, class_weights=tensor)
    assert torch.allclose(objective(scores(), one_hot()), objective(scores(), labels()))
    if weights is None:
        mixed = objective(scores(), 0.3 * one_hot() + 0.7 * one_hot().flip(0))
        assert torch.allclose(mixed, 0.3 * objective(scores(), labels()) + 0.7 * objective(scores(), labels().flip(0)))


@pytest.mark.parametrize("loss", SINGLE)
def test_a_class_of_weight_two_counts_as_if_its_images_came_twice(loss: str) -> None:
    objective = Objective(loss=loss, class_weights=torch.tensor([1.0, 1, 2, 1, 1], dtype=torch.float64))
    twice = torch.cat([torch.arange(COUNT), torch.where(labels() == 2)[0]])
    summed = float(Objective(loss=loss)(scores()[twice], labels()[twice])) * len(twice)
    assert float(objective(scores(), labels())) * COUNT == pytest.approx(summed)


def test_a_yes_of_weight_two_counts_twice_and_a_no_once() -> None:
    objective = Objective(loss="multi-label", class_weights=torch.full((CLASSES,), 2.0, dtype=torch.float64))
    p, t = torch.sigmoid(scores()), answers()
    by_hand = -(2 * t * p.log() + (1 - t) * (1 - p).log()).sum(1).mean()
    assert torch.allclose(objective(scores(), answers()), by_hand)


def test_balanced_weights_are_scikit_learns() -> None:
    counts = np.bincount(labels(), minlength=CLASSES)
    names = tuple("abcde")
    expected = compute_class_weight("balanced", classes=np.arange(CLASSES), y=labels().numpy())
    assert class_weights("balanced", classes=names, counts=counts.tolist(), images=COUNT) == pytest.approx(expected)
    # Of several labels, each against its absence: N / (2 yes) over N / (2 no).
    (weight,) = class_weights("balanced", classes=("a",), counts=(2,), images=8, multi_label=True)
    no, yes = compute_class_weight("balanced", classes=np.arange(2), y=np.array([1, 1, 0, 0, 0, 0, 0, 0]))
    assert weight == pytest.approx(yes / no)
    assert class_weights("balanced", classes=("a", "b"), counts=(0, 3), images=3) == (1.0, 0.5)
    assert class_weights("none", classes=("a", "b"), counts=(0, 3), images=3) is None
    for extreme in ("1e30", "1e-30"):
        with pytest.raises(RunError, match=f"'b={extreme}' is beyond what float32 can sum: take 1e-12 to 1e\\+12"):
            Recipe(class_weights=f"a=2,b={extreme}")


def test_how_many_are_right() -> None:
    top = torch.tensor([[2.0, 1.0, -1.0], [0.0, -1.0, 3.0]])
    assert int(Objective().count_right(top, torch.tensor([0, 1]))) == 1
    assert int(Objective().count_right(top, torch.tensor([[0.4, 0.6, 0.0], [0.1, 0.0, 0.9]]))) == 1  # the heavier label
    several = Objective(loss="multi-label")
    # A score of 0 is a probability of 0.5, which is a yes, here as in the metrics of a run.
    targets = torch.tensor([[1.0, 1, 0], [1, 0, 1]])
    assert int(several.count_right(top, targets)) == 2
    found = score_labels(
        several.probabilities_of(top.double().numpy()), targets.numpy(), classes=("a", "b", "c"), objective=several
    )
    assert found.exact_match == 1


@pytest.mark.parametrize(
    ("objective", "targets"),
    [
        (Objective(loss="hinge"), one_hot()),
        (Objective(loss="hinge", label_smoothing=0.1), labels()),
        (Objective(loss="multi-label"), labels()),
    ],
)
def test_targets_that_a_loss_has_no_meaning_for_are_refused(objective: Objective, targets: torch.Tensor) -> None:
    with pytest.raises(RunError, match=r"one right class|a yes or no for every class"):
        objective(scores(), targets)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "hinge", "label_smoothing": 0.1}, "a margin needs the one right class"),
        ({"class_weights": "cat"}, "'cat' is not CLASS=NUMBER"),
        ({"class_weights": "cat=0"}, "above 0"),
        ({"class_weights": "cat=nan"}, "above 0"),
        ({"class_weights": "cat=1,cat=2"}, "twice"),
    ],
)
def test_recipes_that_cant_be_meant_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(RunError, match=message):
        Recipe(**settings)


def test_a_loss_must_fit_the_labels_and_weights_their_classes() -> None:
    with pytest.raises(RunError, match="have one class each: take softmax, hinge or logistic"):
        resolve(Recipe(loss="multi-label"), probe("digits"))
    with pytest.raises(RunError, match="no class 'seven'"):
        resolve(Recipe(class_weights="seven=2"), probe("digits"))
    with pytest.raises(RunError, match=r"no loss is called 'hing'\. Did you mean hinge"):
        Objective(loss="hing")
    resolved = resolve(Recipe(), probe("digits")).recipe
    assert (resolved.loss, resolved.label_smoothing) == ("softmax", 0.1)
    resolved = resolve(Recipe(loss="hinge", class_weights="7=2"), probe("digits")).recipe
    assert (resolved.loss, resolved.label_smoothing) == ("hinge", 0.0)
    weights = class_weights(resolved.class_weights, classes=[str(n) for n in range(10)], counts=[1] * 10, images=10)
    assert weights == (*[1.0] * 7, 2.0, 1.0, 1.0)


@pytest.mark.parametrize("loss", ["hinge", "logistic"])
def test_a_run_remembers_its_loss_and_shows_the_probabilities_that_go_with_it(tmp_path: Path, loss: str) -> None:
    settings = ["--model", "lenet5", "--epochs", "2", "--batch-size", "128", "--loss", loss]
    settings += ["--class-weights", "balanced"]
    ended = CliRunner().invoke(cli, ["train", "digits", *settings, "--runs", str(tmp_path), "--name", "run"])
    assert ended.exit_code == 0, ended.output
    run = open_run(tmp_path / "run")
    assert json.loads(run.spec_path.read_text())["loss"] == run.spec().loss == loss
    measured = json.loads(CliRunner().invoke(cli, ["evaluate", str(run), "--json"]).output)
    network = run.network()
    images = torch.rand(20, 1, 32, 32)
    with evaluation_mode(network), torch.inference_mode():
        raw = network(images).double()
    spec = run.spec().of_training  # without the temperature, which the loss does not know
    shown = spec.objective.probabilities(raw)
    sums = shown.sum(1)
    assert torch.allclose(sums, torch.ones(20, dtype=torch.float64)) == (loss == "hinge")
    assert torch.equal(shown.argmax(1), raw.argmax(1))
    named = np.zeros(20, np.int64)
    found = score(shown.numpy(), named, classes=spec.classes, objective=spec.objective)
    assert found.loss == pytest.approx(float(Objective(loss=loss)(raw, torch.zeros(20, dtype=torch.int64))))
    assert measured["accuracy_top1"] > 0.3 and measured["loss"] > 0
    page = run.report.read_text()
    assert LOSSES[loss].measured in page

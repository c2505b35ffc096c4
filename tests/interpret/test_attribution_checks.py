"""The checks beside an attribution: measures equal scipy's, and what they must find is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from convscope.errors import ArgumentError, GeometryError
from convscope.interpret.attribution.blurred import blurred
from convscope.interpret.attribution.checks.check import check_attributions
from convscope.interpret.attribution.checks.deletion_insertion import (
    DeletionInsertion,
    Perturbation,
    deletion_insertion,
)
from convscope.interpret.attribution.checks.randomized_weights import (
    Maps,
    WeightRandomization,
    calibrate,
    random_weights,
    randomized_weights,
    weights_from_last,
    with_weights_calibrated,
)
from convscope.interpret.attribution.checks.rank_correlation import rank_correlation, structural_similarity
from convscope.interpret.attribution.checks.record import AttributionChecks
from convscope.interpret.attribution.methods import attribute
from convscope.interpret.subject import Subject


def test_rank_correlation_equals_scipys_with_ties() -> None:
    generator = np.random.default_rng(0)
    for high in (2, 5, 1000):
        first, second = generator.integers(0, high, (2, 12, 9))
        expected = stats.spearmanr(first.ravel(), second.ravel()).statistic
        assert rank_correlation(first, second) == pytest.approx(expected)
    assert rank_correlation(np.ones((3, 3)), np.arange(9.0).reshape(3, 3)) is None
    assert rank_correlation(np.array([1, np.nan, 2]), np.arange(3.0)) is None


def test_structural_similarity_equals_the_definition_window_by_window() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.standard_normal((2, 10, 9))
    one, other = first / np.abs(first).max(), second / np.abs(second).max()
    found = []
    for row in range(4):
        for column in range(3):
            a, b = (m[row : row + 7, column : column + 7].ravel() for m in (one, other))
            (va, c), (_, vb) = np.cov(a, b)
            top = (2 * a.mean() * b.mean() + 1e-4) * (2 * c + 9e-4)
            found.append(top / ((a.mean() ** 2 + b.mean() ** 2 + 1e-4) * (va + vb + 9e-4)))
    assert structural_similarity(first, second) == pytest.approx(np.mean(found))
    assert structural_similarity(first, first) == pytest.approx(1)
    assert structural_similarity(first, np.zeros_like(first)) is None
    assert structural_similarity(np.eye(2), np.eye(2)) == pytest.approx(1), "maps smaller than the window"


def test_blurring_by_a_matrix_equals_the_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randn(2, 3, 20, 13, dtype=torch.float64)
    found = blurred(images)
    monkeypatch.setattr("convscope.interpret.attribution.blurred._LONGEST", 0)
    torch.testing.assert_close(blurred(images), found)


def small() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)]
    layers += [nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)]
    return nn.Sequential(*layers).eval()


def of(network: nn.Module, tensor: torch.Tensor) -> Subject:
    return Subject(network=network, name="small", image_name="an image", tensor=tensor)


def gradient_map(subject: Subject, target: int) -> np.ndarray:
    return gradient_maps(subject, target).shown


def gradient_maps(subject: Subject, target: int) -> Maps:
    run = subject.replay
    (found,) = run.gradients(run.score(target).sum(), run.inputs[0])
    return Maps(found[0].abs().sum(0).numpy(), found[0].sum(0).numpy())


def image_maps(subject: Subject, target: int) -> Maps:
    """The image itself, whatever the weights."""
    found = subject.tensor[0].sum(0).numpy()
    return Maps(np.abs(found), found)


def test_layers_get_random_weights_from_the_last_one_down() -> None:
    subject = of(small(), torch.randn(1, 3, 12, 12))
    groups = weights_from_last(subject.replay.graph)
    assert [group.layer for group in groups] == ["7", "3", "0"]
    assert [set(group.names) for group in groups] == [
        {"7.weight", "7.bias"},
        {"3.weight", "3.bias"},
        {"0.weight", "1.weight", "1.bias"},
    ]
    drawn = random_weights(subject.replays, groups, seed=0)
    again = random_weights(subject.replays, groups, seed=0)
    assert all(torch.equal(drawn[name], again[name]) for name in drawn)
    shuffled, own = drawn["3.bias"], subject.network.get_parameter("3.bias").detach()
    assert torch.equal(shuffled.sort().values, own.sort().values)


def test_batch_normalization_above_a_random_layer_is_measured_anew() -> None:
    subject = of(small(), torch.randn(1, 3, 12, 12))
    assert calibrate(subject.replay.with_weights({"7.bias": torch.zeros(4)}), ["7.bias"]) == {}
    kernel = 30 * torch.randn(8, 3, 3, 3)
    found = calibrate(subject.replay.with_weights({"0.weight": kernel}), ["0.weight"])
    made = nn.functional.conv2d(subject.tensor, kernel, padding=1)
    torch.testing.assert_close(found["1.running_mean"], made.mean((0, 2, 3)))
    torch.testing.assert_close(found["1.running_var"], made.var((0, 2, 3), correction=0))


def test_a_run_with_random_weights_shares_what_is_before_them_and_is_the_run_from_the_start() -> None:
    subject = of(small(), torch.randn(1, 3, 12, 12))
    scores = subject.replay.scores.detach().clone()
    kernel = torch.randn(8, 8, 3, 3)
    found = with_weights_calibrated(subject, {"3.weight": kernel})
    assert found.replay.tensor(found.replay.find("2")) is subject.replay.tensor(subject.replay.find("2"))
    for weights in ({"3.weight": kernel}, {"0.weight": torch.randn(8, 3, 3, 3)}, {"7.bias": torch.zeros(4)}):
        found = with_weights_calibrated(subject, weights)
        again = replace(found, given_replay=None)
        for value in ("0", "1", "2", "3", "7"):
            assert torch.equal(found.replay.value(value), again.replay.value(value))
        np.testing.assert_array_equal(gradient_map(found, 2), gradient_map(again, 2))
    assert torch.equal(subject.replay.scores, scores)


def test_occlusion_has_larger_windows_where_weights_are_random_and_an_interrupt_ends_the_checks() -> None:
    subject = of(small(), torch.randn(1, 3, 20, 20))
    (found,) = check_attributions(subject, [attribute(subject, "occlusion")], stages=8)
    assert found.randomization is not None and found.randomization.random_layers == (1, 3)
    assert found.deterministic and found.perturbation is not None

    def interrupt(done: int, total: int, what: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_attributions(subject, [attribute(subject, "occlusion")], progress=interrupt)


def test_a_map_of_the_image_alone_fails_and_the_model_stays() -> None:
    network = small()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    generator_state = torch.get_rng_state()
    subject = of(network, torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(1)))
    methods = {
        "image": image_maps,
        "nothing": lambda subject, target: Maps(np.zeros((12, 12)), np.zeros((12, 12))),
        "gradient": gradient_maps,
    }
    found = randomized_weights(subject, methods, 1, stages=4)
    assert found["image"].fails and found["image"].rank_correlations == pytest.approx((1, 1, 1))
    assert (
        found["image"].signed_correlations == pytest.approx((1, 1, 1)) and "shows the image" in found["image"].sentence
    )
    assert not found["nothing"].fails and found["nothing"].all_random is None
    assert found["gradient"].random_layers == (1, 2, 3) and found["gradient"].layers == ("7", "3", "0")
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator_state)
    assert not network.training and all(p.grad is None for p in network.parameters())


class OneCorner(nn.Module):
    """Its first class is the contrast of the upper left 4x4 pixels."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = images[:, 0, :4, :4].square().mean((1, 2))
        return torch.stack([4 * found, torch.full_like(found, 2.0)], 1)


def test_the_map_that_is_right_beats_random_order_and_its_opposite_does_not() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 1, 16, 16, generator=generator).sign()
    subject = of(OneCorner(), image)
    right = np.zeros((16, 16))
    right[:4, :4] = 1
    found = deletion_insertion(subject, {"right": right, "wrong": -right}, 0, cells={"right": (8, 8), "wrong": (8, 8)})
    assert found["right"].deletion_gain > 0.2 and found["right"].insertion_gain > 0.2
    assert found["wrong"].deletion_gain < -0.1 and found["wrong"].insertion_gain < -0.1
    assert found["right"].deletion_gain_over_centre > 0.2
    assert (
        "matter more than random" in found["right"].sentence and "matter no more than random" in found["wrong"].sentence
    )
    again = deletion_insertion(subject, {"right": right}, 0, cells={"right": (8, 8)})
    np.testing.assert_array_equal(again["right"].own.deletion, found["right"].own.deletion)


def test_curves_begin_and_end_with_the_image_and_the_blurred_one() -> None:
    subject = of(small(), torch.randn(1, 3, 12, 12))
    found = deletion_insertion(subject, {"gradient": gradient_map(subject, 2)}, 2, points=6)["gradient"]
    whole, blank = (
        float(subject.network(image).softmax(1)[0, 2].detach()) for image in (subject.tensor, blurred(subject.tensor))
    )
    for curves in (found.own, found.random, found.centre):
        assert len(curves.deletion) == len(curves.insertion) == 6
        np.testing.assert_allclose(curves.deletion[[0, -1]], [whole, blank], rtol=1e-5)
        np.testing.assert_allclose(curves.insertion[[0, -1]], [blank, whole], rtol=1e-5)
    with pytest.raises(GeometryError, match="give a map on the image"):
        deletion_insertion(subject, {"small": np.zeros((3, 3))}, 2)


def test_blurring_keeps_constants_means_and_signals_of_one_axis() -> None:
    constant = torch.full((1, 2, 9, 9), 3.0)
    torch.testing.assert_close(blurred(constant), constant)
    sound = torch.randn(1, 1, 400)
    assert blurred(sound).shape == sound.shape and float(blurred(sound).std()) < 0.3


@pytest.fixture(scope="module")
def checked() -> tuple[AttributionChecks, ...]:
    subject = of(small(), torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(2)))
    maps = [attribute(subject, method, target=1) for method in ("gradient", "grad-cam")]
    return check_attributions(subject, maps, stages=4)


def test_attributions_are_checked_together(checked: tuple[AttributionChecks, ...]) -> None:
    for found in checked:
        assert found.deterministic and found.completeness_gap is None
        assert found.randomization is not None and found.randomization.random_layers == (1, 2, 3)
        assert found.perturbation is not None and len(found.perturbation.own.insertion) == 20
        assert found.sentences and found.method in found.headline()
        assert len(found.document().blocks) >= 4 and "Deletion" in found.svg and len(repr(found)) <= 120
    assert checked[0].perturbation is not None and checked[1].perturbation is not None
    np.testing.assert_array_equal(checked[0].perturbation.centre.deletion, checked[1].perturbation.centre.deletion)


FAILING = WeightRandomization(
    random_layers=(1, 3),
    layers=("7", "0"),
    rank_correlations=(0.9, 0.8),
    signed_correlations=(0.3, 0.7),
    structural_similarities=(0.9, 0.7),
    cells=49,
)


def test_what_speaks_against_a_map_is_said_first(checked: tuple[AttributionChecks, ...]) -> None:
    found = replace(checked[0], randomization=FAILING, deterministic=False, completeness_gap=0.05, perturbation=None)
    assert len(found.warnings) == 3 and found.sentences == found.warnings
    assert found.headline().endswith("fails random weights, same map again, completeness")
    assert "5.0 %" in str(found) and "rank correlation 0.80" in str(found)
    assert found.to_dict()["randomization"]["fails"] is True and found.to_dict()["failed"] == list(found.failed)


def test_upper_layers_are_judged_by_maps_with_their_signs() -> None:
    upper = replace(
        FAILING, random_layers=(1, 2, 4), layers=("7", "3", "0"), rank_correlations=(0.9, 0.8, 0.1),
        signed_correlations=(0.8, 0.6, 0.9), structural_similarities=(0.9, 0.8, 0.1),
    )  # fmt: skip
    assert upper.upper_random == pytest.approx(0.6) and upper.fails and "upper layers" in upper.sentence
    assert not replace(upper, signed_correlations=(0.3, 0.6, 0.9)).fails
    assert replace(upper, signed_correlations=(0.9, None, 0.9)).upper_random is None
    one = replace(upper, random_layers=(1,), signed_correlations=(0.9,), rank_correlations=(0.4,))
    assert one.upper_random is None and not one.fails
    by_chance = replace(upper, rank_correlations=(0.9, 0.4, 0.7), signed_correlations=(0.6, 0.4, 0.1))
    assert not by_chance.fails
    assert "changes at some stages only (rank correlation 0.40; 0.70 with all weights random)" in by_chance.sentence
    still = replace(by_chance, rank_correlations=(0.9, None, 0.7))
    assert not still.fails and "at some stages only (constant; 0.70 with all weights random)" in still.sentence
    assert (
        "changes with all weights random (rank correlation 0.10)"
        in replace(by_chance, rank_correlations=(0.9, 0.4, 0.1)).sentence
    )
    small = replace(upper, cells=4)
    assert not small.fails and small.sentence.startswith("The map has 4 cells: too few")


def with_gains(deletion: float, insertion: float, *, blurred: float = 0.1) -> AttributionChecks:
    """Checks of a map whose curves are better than random order's by these areas."""
    whole, points = 0.9, 20
    line = np.linspace(whole, blurred, points)
    bump = np.r_[0.0, np.ones(points - 2), 0.0] * (points - 1) / (points - 2)
    random = Perturbation(deletion=line, insertion=line[::-1])
    own = Perturbation(deletion=line - deletion * bump, insertion=line[::-1] + insertion * bump)
    perturbed = DeletionInsertion(own=own, random=random, centre=random)
    return AttributionChecks(method="a map", class_name="class 1", perturbation=perturbed, deterministic=True)


@pytest.mark.parametrize(
    ("checks", "verdict"),
    [
        (with_gains(0.2, 0.1), "passed"),
        (with_gains(0.2, 0.0), "passed; better than random order by deletion only"),
        (with_gains(-0.2, 0.1), "passed; better than random order by insertion only"),
        (with_gains(0.01, 0.0), "fails deletion and insertion"),
        (with_gains(-0.1, -0.1), "fails deletion and insertion"),
        (with_gains(0.0, 0.0, blurred=0.9), "passed; deletion and insertion are inconclusive"),
        (AttributionChecks(method="a map", class_name="class 1", deterministic=True), "not checked"),
        (replace(with_gains(0.2, 0.1), randomization=FAILING), "fails random weights"),
    ],
)
def test_the_verdict_is_that_of_the_checks(checks: AttributionChecks, verdict: str) -> None:
    assert checks.headline() == f"checks of a map for class 1: {verdict}" and checks.to_dict()["verdict"] == verdict
    assert bool(checks.warnings) == verdict.startswith("fails")
    assert len(set(checks.sentences)) == len(checks.sentences)


def test_attributions_of_several_classes_are_not_checked_together() -> None:
    subject = of(small(), torch.randn(1, 3, 12, 12))
    with pytest.raises(ArgumentError, match="all of the same class"):
        check_attributions(subject, [attribute(subject, "gradient", target=target) for target in (0, 1)])

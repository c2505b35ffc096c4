"""The network for a time: by a table of accuracies or by the rule, and never one that does not fit."""

from __future__ import annotations

import pytest

import convscope
from convscope.nets import catalogue
from convscope.nets.build import build
from convscope.nets.cifarnet import fitting_stem_stride
from convscope.training.timing.accuracy_table import AccuracyTable, MeasuredPoint, SetShape, accuracy_table, table_of
from convscope.training.timing.candidates import (
    Candidate,
    CandidatePlan,
    best_option,
    candidates_for,
    option_within,
    reason_for,
)
from convscope.training.timing.costs import Costs, Sides

SHAPE = SetShape(images=10_000, classes=10, channels=3, side=32)
# Validation accuracy after 1, 2, 4 and 8 epochs.
CURVES = {
    "cifarnet-tiny": (0.50, 0.60, 0.68, 0.72),
    "cifarnet-small": (0.45, 0.62, 0.74, 0.80),
    "cifarnet": (0.40, 0.60, 0.76, 0.85),
}
# Seconds of a step, 10 of which are an epoch.
STEPS = {"cifarnet-tiny": 0.5, "cifarnet-small": 1.0, "cifarnet": 3.0}


def table() -> AccuracyTable:
    """Return a table of one set of the shape."""
    points = [
        MeasuredPoint(set_name="ours", shape=SHAPE, network=name, image_size=32, epochs=2**number, accuracy=accuracy)
        for name, curve in CURVES.items()
        for number, accuracy in enumerate(curve)
    ]
    return AccuracyTable(points=tuple(points))


def options(left: float, *, by: AccuracyTable | None = None, views: float = 0.0) -> list[CandidatePlan]:
    """Return what of each network fits into `left` seconds, of which test-time views take `views`."""
    found = []
    for name, step in STEPS.items():
        costs = {"one": Costs(steps=((1.0, step),), epoch_end=0.0, finish=1.0)}
        if views:
            costs["flip-shift"] = Costs(steps=((1.0, step),), epoch_end=0.0, finish=views)
        found.append(
            option_within(
                Candidate(model=name),
                costs,
                Sides(),
                left=left,
                epoch_steps=10,
                usual_epochs=8,
                most_times=1,
                shape=SHAPE,
                table=by or table(),
            )
        )
    return found


@pytest.mark.parametrize(
    ("left", "network", "epochs"),
    [(12, "cifarnet-tiny", 2.2), (41, "cifarnet-small", 4), (400, "cifarnet", 8), (21, "cifarnet-tiny", 4)],
)
def test_the_best_expected_accuracy_within_the_time_is_taken(left: float, network: str, epochs: float) -> None:
    best = best_option(options(left), usual="resnet18")
    assert best is not None and best.candidate.model == network
    assert best.epochs == pytest.approx(epochs) and best.seconds <= left


def test_a_network_whose_first_epoch_does_not_fit_is_never_taken() -> None:
    found = options(8)
    assert [option.epochs >= 1 for option in found] == [True, False, False]
    best = best_option(found, usual="cifarnet")
    assert best is not None and best.candidate.model == "cifarnet-tiny"
    assert reason_for(best, found, usual="cifarnet").endswith("; cifarnet would have not one epoch")
    assert best_option(options(2), usual="cifarnet") is None


def test_the_usual_network_stays_where_no_other_is_expected_to_be_better() -> None:
    near = {**CURVES, "cifarnet-small": (0.40, 0.60, 0.76, 0.847)}
    points = [
        MeasuredPoint(set_name="ours", shape=SHAPE, network=name, image_size=32, epochs=2**number, accuracy=accuracy)
        for name, curve in near.items()
        for number, accuracy in enumerate(curve)
    ]
    found = options(400, by=AccuracyTable(points=tuple(points)))
    for usual in ("cifarnet-small", "cifarnet"):
        best = best_option(found, usual=usual)
        assert best is not None and best.candidate.model == usual


def test_without_a_table_the_most_capable_network_with_enough_epochs_is_taken() -> None:
    nothing = AccuracyTable(points=())
    for left, network in ((400, "cifarnet"), (122, "cifarnet"), (100, "cifarnet-small"), (25, "cifarnet-tiny")):
        best = best_option(options(left, by=nothing), usual="cifarnet")
        assert best is not None and best.accuracy is None and best.candidate.model == network
    # What is beyond the usual network is taken only where something is known of it.
    best = best_option(options(400, by=nothing), usual="cifarnet-small")
    assert best is not None and best.candidate.model == "cifarnet-small"


def test_accuracies_decide_only_where_that_of_the_usual_network_is_known() -> None:
    points = tuple(point for point in table().points if point.network != "cifarnet")
    best = best_option(options(400, by=AccuracyTable(points=points)), usual="cifarnet")
    assert best is not None and best.candidate.model == "cifarnet"


def test_views_are_taken_where_they_are_worth_their_time() -> None:
    whole, short = options(400, views=60), options(70, views=60)
    assert {option.views for option in whole} == {"flip-shift"}
    assert short[1].views == "one" and short[1].epochs == pytest.approx(6.9)
    nothing = AccuracyTable(points=())
    assert {option.views for option in options(500, by=nothing, views=60)} == {"flip-shift"}
    assert {option.views for option in options(300, by=nothing, views=60)} == {"one"}


def test_an_expectation_goes_through_the_measured_points_and_never_falls() -> None:
    found = table()
    at = [found.expected("ours", "cifarnet", 32, seen=10_000 * epochs) for epochs in (0.5, 1, 2, 3, 4, 8, 16, 1000)]
    known = [accuracy for accuracy in at if accuracy is not None]
    assert len(known) == len(at) and known == sorted(known)
    assert [known[1], known[2], known[4], known[5]] == pytest.approx(list(CURVES["cifarnet"]))
    assert known[0] >= 0.1 and known[-1] < 0.95
    assert found.expected("ours", "resnet18", 32, seen=10_000) is None
    assert found.nearest(SetShape(images=9_000, classes=7, channels=3, side=40)) == "ours"
    assert found.nearest(SetShape(images=9_000, classes=7, channels=3, side=224)) is None


def test_the_committed_table_is_read() -> None:
    found = accuracy_table()
    assert found.points and found.nearest(SetShape(images=7_000, classes=10, channels=1, side=28)) == "mnist10k"
    assert table_of([]).points == ()


@pytest.mark.parametrize(("side", "channels"), [(28, 1), (32, 3), (64, 1), (128, 3), (224, 3)])
def test_candidates_see_the_whole_image(side: int, channels: int) -> None:
    shape = SetShape(images=10_000, classes=10, channels=channels, side=side)
    largest = {candidate.model: candidate.side or side for candidate in candidates_for(shape)}
    for model, taken in largest.items():
        if model == "lenet5":  # its last layers are fully connected
            continue
        options = {"stem_stride": fitting_stem_stride((taken, taken))} if model in catalogue.CIFARNETS else {}
        network = build(model, num_classes=10, in_channels=channels, image_size=taken, options=options)
        found = convscope.inspect(network, input_shape=(channels, taken, taken))
        last = [layer for layer in found.layers if len(layer.output_shape) == 4 and min(layer.output_shape[2:]) > 1][-1]
        spans = convscope.field(found, last.name).spans
        assert all(end - start + 1 >= 0.95 * taken for start, end in spans), model

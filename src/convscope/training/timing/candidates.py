"""Which network a training takes for a time: what of each candidate fits, and the best of them.

By the table of accuracies where it has a set like the images; else by a rule: the most capable network of which enough
epochs fit. Everything here is arithmetic on what was measured before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convscope.report.units import percent, plural, seconds
from convscope.training.timing.accuracy_table import AccuracyTable, SetShape
from convscope.training.timing.costs import Costs, Sides
from convscope.training.timing.pacer import most_steps_within
from convscope.training.timing.step_plan import StepPlan

# Up to these sides of images: the networks for small ones, which see the whole of them (`tests/training/timing`).
TINY_GREY, SMALL = 32, 128
# The error that is left with test-time views, as a share of that with one view: of CifarNet on CIFAR-10, 10.68 % to
# 9.64 % (the mean in docs/benchmarks.md). Of the flip alone half of that gain is taken.
ERROR_LEFT: Mapping[str, float] = {"one": 1.0, "flip": 0.951, "flip-shift": 0.903, "ten-crop": 0.903}
# Where the table has no set like the images: views are taken where they need at most VIEWS_SHARE of the time, and a
# network where at least ENOUGH_EPOCHS of its epochs fit.
VIEWS_SHARE, ENOUGH_EPOCHS = 0.15, 4.0
# The usual network stays where no other is expected to be better by more than this: tables are of other images.
BETTER = 0.005


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network to choose from.

    Args:
        model: its name.
        side: of the images that it is given; 0 for that which it takes by itself.
        grows: whether the images are smaller at first.
    """

    model: str
    side: int = 0
    grows: bool = False

    @property
    def text(self) -> str:
        """The candidate in words.

        >>> Candidate(model="resnet18", side=160).text
        'resnet18 at 160'
        """
        return f"{self.model} at {self.side}" if self.side else self.model


_CIFARNETS = tuple(Candidate(model=name) for name in ("cifarnet-tiny", "cifarnet-small", "cifarnet", "cifarnet-large"))
# From the cheapest on, and each more capable than the one before.
_LARGE = tuple(
    Candidate(model=model, side=side, grows=True)
    for model, side in (
        ("mobilenet_v3_small", 128),
        ("mobilenet_v3_small", 160),
        ("mobilenet_v3_large", 160),
        ("resnet18", 128),
        ("resnet18", 160),
        ("resnet18", 224),
        ("resnet50", 224),
    )
)


def candidates_for(shape: SetShape) -> tuple[Candidate, ...]:
    """Return the networks for images of a shape, from the cheapest to the most capable.

    >>> [one.model for one in candidates_for(SetShape(images=9_000, classes=7, channels=1, side=64))]
    ['cifarnet-tiny', 'cifarnet-small', 'cifarnet', 'cifarnet-large', 'resnet18']
    >>> candidates_for(SetShape(images=9_000, classes=7, channels=3, side=150))[-1].text
    'resnet18 at 128'
    """
    if shape.side <= TINY_GREY and shape.channels == 1:
        return (Candidate(model="lenet5"), *_CIFARNETS)
    if shape.side <= SMALL:
        return (*_CIFARNETS, Candidate(model="resnet18"))
    return tuple(one for one in _LARGE if one.side <= shape.side)


@dataclass(frozen=True, kw_only=True)
class CandidatePlan:
    """What of a candidate fits into a time.

    Args:
        candidate: the network.
        views: of each test image.
        steps: that fit.
        epochs: the same in epochs; below 1 where not one fits.
        seconds: of all of it, from now on.
        accuracy: expected of it by the table; None where that has no such case.
    """

    candidate: Candidate
    views: str
    steps: int
    epochs: float
    seconds: float
    accuracy: float | None


def option_within(
    candidate: Candidate,
    costs: Mapping[str, Costs],
    sides: Sides,
    *,
    left: float,
    epoch_steps: int,
    usual_epochs: int,
    most_times: int,
    shape: SetShape,
    table: AccuracyTable,
) -> CandidatePlan:
    """Return the best that a candidate does within `left` seconds, among the views that `costs` has, the fewest first.

    At most `most_times` the usual epochs are taken.
    """
    options: list[CandidatePlan] = []
    for views, cost in costs.items():

        def needed(steps: int, cost: Costs = cost) -> float:
            return cost.seconds(StepPlan.of(steps, epoch_steps=epoch_steps), sides=sides)

        steps = most_steps_within(left, needed, least=1, most=usual_epochs * epoch_steps * most_times)
        # One step is returned also where not even that is in time.
        epochs = steps / epoch_steps if needed(steps) <= left else 0.0
        expected = _expected(table, shape, candidate, epochs)
        accuracy = None if expected is None else 1 - (1 - expected) * ERROR_LEFT.get(views, 1.0)
        found = CandidatePlan(
            candidate=candidate, views=views, steps=steps, epochs=epochs, seconds=needed(steps), accuracy=accuracy
        )
        if not options or (epochs >= 1 and (accuracy is not None or cost.finish - cost.report <= VIEWS_SHARE * left)):
            options.append(found)
    if any(option.accuracy is None for option in options):
        return options[-1]
    return max(options, key=lambda option: (option.epochs >= 1, option.accuracy or 0.0))


def _expected(table: AccuracyTable, shape: SetShape, candidate: Candidate, epochs: float) -> float | None:
    """Return the accuracy by the nearest reference set, at the nearest size there; None where there is none."""
    name = table.nearest(shape)
    if name is None or epochs < 1:
        return None
    sizes = [size for network, size in table.networks(name) if network == candidate.model]
    if not sizes:
        return None
    wanted = candidate.side or shape.side
    size = min(sizes, key=lambda size: abs(size - wanted))
    return table.expected(name, candidate.model, size, seen=epochs * shape.images)


def best_option(options: Sequence[CandidatePlan], *, usual: str) -> CandidatePlan | None:
    """Return the best option of which at least one epoch fits, or None; `options` are from the cheapest on.

    By the expected accuracy where the usual network has one too: it stays where none is better by much. Else the last
    up to the usual one of which enough epochs fit, or the one with the most.
    """
    holding = [option for option in options if option.epochs >= 1]
    if not holding:
        return None
    known = [option for option in holding if option.accuracy is not None]
    of_usual = [option for option in holding if option.candidate.model == usual]
    # An accuracy can't be compared with a network that has none.
    if known and all(option.accuracy is not None for option in of_usual):
        best = max(known, key=lambda option: option.accuracy or 0.0)
        if of_usual and (of_usual[-1].accuracy or 0.0) >= (best.accuracy or 0.0) - BETTER:
            return of_usual[-1]
        return best
    upto_usual = holding[: 1 + max((n for n, one in enumerate(holding) if one.candidate.model == usual), default=99)]
    enough = [option for option in upto_usual if option.epochs >= ENOUGH_EPOCHS]
    return enough[-1] if enough else max(upto_usual, key=lambda option: option.epochs)


def reason_for(best: CandidatePlan, options: Sequence[CandidatePlan], *, usual: str) -> str:
    """Return why an option is taken, beside the usual network or the next best one.

    >>> def option(model, epochs, accuracy):
    ...     one = Candidate(model=model)
    ...     return CandidatePlan(candidate=one, views="one", steps=9, epochs=epochs, seconds=540, accuracy=accuracy)
    >>> best, other = option("cifarnet-small", 12.0, 0.961), option("cifarnet", 5.2, 0.95)
    >>> reason_for(best, [best, other], usual="cifarnet")
    '12 epochs in 9 min 00 s, 96.1 % on the nearest reference set; cifarnet would have 5 epochs and 95.0 %'
    >>> reason_for(other, [other], usual="cifarnet")
    '5 epochs in 9 min 00 s, 95.0 % on the nearest reference set; there was no time to measure another network'
    >>> reason_for(option("cifarnet-tiny", 0.4, None), [], usual="cifarnet")
    'the cheapest, and not one epoch of it fits'
    """
    if best.epochs < 1:
        return "the cheapest, and not one epoch of it fits"
    expected = "" if best.accuracy is None else f", {percent(best.accuracy)} on the nearest reference set"
    at_side = f" at {best.candidate.side} pixels" if best.candidate.side else ""
    text = f"{_epochs(best)}{at_side} in {seconds(best.seconds)}{expected}"
    others = [option for option in options if option.candidate != best.candidate]
    if not others:
        return f"{text}; there was no time to measure another network"
    by_name = {option.candidate.model: option for option in others}
    other = by_name.get(usual) or max(others, key=lambda option: (option.accuracy or 0.0, option.epochs))
    with_accuracy = "" if other.accuracy is None else f" and {percent(other.accuracy)}"
    has = f"{_epochs(other)}{with_accuracy}" if other.epochs >= 1 else "not one epoch"
    return f"{text}; {other.candidate.text} would have {has}"


def _epochs(option: CandidatePlan) -> str:
    return plural(round(option.epochs), "epoch")

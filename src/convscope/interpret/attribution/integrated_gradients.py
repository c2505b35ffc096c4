"""Integrated gradients: the mean gradient on the straight path from a baseline to the image, times their difference.

Source: Sundararajan, Taly and Yan 2017, "Axiomatic attribution for deep networks", section 3; the sum over the image is
the difference of the two scores (proposition 1), and what is missing of it is the completeness gap. The average is
taken by the midpoint rule, in float64; the gradients are in the network's own type unless bf16 is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from convscope.errors import ArgumentError
from convscope.interpret.attribution.baselines import DEFAULT, baseline_of
from convscope.interpret.attribution.batches import gradient_batch, is_large
from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.attribution.placement import at_input, over_channels, require_gradient
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.replay.replays import Replays
from convscope.interpret.subject import Subject
from convscope.report.progress import Progress
from convscope.report.units import percent

STEPS = (32, 96, 160)
"""Steps between the baseline and the image, tried in turn until the gap is at most COMPLETE.

The others are odd multiples of the first, whose midpoints are then among theirs and are not computed again: 32, 96 and
224 gradients in all, as many as 32, 64 and 128 steps take without common midpoints.
"""

COMPLETE = 0.01
"""The completeness gap from which on the sum is called complete."""

PRECISIONS = ("fp32", "bf16")

_MOST_STEPS = 4096


@dataclass(frozen=True, kw_only=True)
class Completeness:
    """Whether an attribution's numbers sum to the difference of the scores.

    Args:
        steps: between the baseline and the image.
        total: sum of all numbers.
        difference: the score of the image minus that of the baseline.
    """

    steps: int
    total: float
    difference: float

    @property
    def gap(self) -> float | None:
        """|total - difference| / |difference|; None where both scores are equal.

        >>> Completeness(steps=32, total=0.98, difference=1.0).gap
        0.020000000000000018
        """
        return abs(self.total - self.difference) / abs(self.difference) if self.difference else None

    @property
    def complete(self) -> bool:
        """Whether the gap is at most COMPLETE."""
        return self.total == 0 if self.gap is None else self.gap <= COMPLETE


def integrated_gradients(subject: Subject, target: int, options: AttributionOptions) -> Attribution:
    """Return the integrated gradients of a class's score at each position, summed over channels.

    Raises:
        ArgumentError: there is no such baseline, or the steps are out of range.
        CaptureError: the input is of whole numbers, or an operation on the way has no gradient.
    """
    image = require_gradient(subject.replay).detach()
    if options.steps is not None and not 1 <= options.steps <= _MOST_STEPS:
        raise ArgumentError(f"steps is {options.steps}: give 1 to {_MOST_STEPS}")
    replays = _replays(subject, options.precision)
    name = options.baseline or DEFAULT
    baseline, notes = baseline_of(subject, name)
    ends = [float(subject.replay.score(target)[0].detach()), _score(replays, target, baseline)]
    first, *more = (options.steps,) if options.steps else STEPS
    path = _StraightPath(
        replays=replays,
        target=target,
        image=image,
        baseline=baseline,
        most=gradient_batch(subject.replay.graph, STEPS[0]),
        progress=options.progress,
    )
    known = path.gradient_sum(midpoints(first))
    for steps in (first, *more):
        total = known if steps == first else known + path.gradient_sum(midpoints(steps, without=first))
        values = path.difference[0] * total / steps
        found = Completeness(steps=steps, total=float(values.sum()), difference=ends[0] - ends[1])
        if found.complete:
            break
    return at_input(
        subject,
        target,
        over_channels(subject, values),
        values=values,
        method="integrated-gradients",
        title="Integrated gradients",
        signed=True,
        baseline=name,
        measures={
            "steps": found.steps,
            "sum": found.total,
            "score difference": found.difference,
            "completeness gap": found.gap,
        },
        notes=(*notes, *_incomplete(found)),
    )


def _replays(subject: Subject, precision: str | None) -> Replays:
    """Return the network in the type that gradients are computed in; channels-last where that is faster."""
    if precision not in (None, *PRECISIONS):
        raise ArgumentError(f"there is no precision {precision!r}: give {', '.join(PRECISIONS)}")
    if precision == "bf16":
        return subject.replays.in_bf16
    large = is_large(subject.replay.graph, subject.tensor)
    return subject.replays.computed_in(None, channels_last=True) if large else subject.replays


def midpoints(steps: int, *, without: int = 0) -> torch.Tensor:
    """Return where between 0 and 1 the midpoint rule takes the gradient, in float64.

    Args:
        steps: of equal length.
        without: leave out the midpoints of this many steps, of which `steps` is an odd multiple.

    >>> midpoints(2).tolist(), midpoints(6).mul(12).tolist(), midpoints(6, without=2).mul(12).tolist()
    ([0.25, 0.75], [1.0, 3.0, 5.0, 7.0, 9.0, 11.0], [1.0, 5.0, 7.0, 11.0])
    """
    numbers = torch.arange(steps, dtype=torch.float64)
    if without:
        times, rest = divmod(steps, without)
        assert not rest and times % 2, f"{steps} steps have other midpoints than {without}"
        numbers = numbers[numbers % times != times // 2]
    return (numbers + 0.5) / steps


@dataclass(frozen=True, kw_only=True)
class _StraightPath:
    """The straight path from the baseline to the image, along which gradients of a class's score are summed.

    Args:
        replays: the network.
        target: the class.
        image: (1, C, *S).
        baseline: of the same shape.
        most: images of which gradients are taken at once.
        progress: called after each batch.
    """

    replays: Replays
    target: int
    image: torch.Tensor
    baseline: torch.Tensor
    most: int
    progress: Progress

    @property
    def difference(self) -> torch.Tensor:
        """The image less the baseline, (1, C, *S), in float64."""
        return self.image.double() - self.baseline.double()

    def gradient_sum(self, shares: torch.Tensor) -> torch.Tensor:
        """Return the sum of the gradients at some shares of the path, (C, *S), in float64."""
        difference = self.difference
        total = torch.zeros_like(difference[0])
        done = 0
        for part in torch.split(shares, self.most):
            places = part.reshape(-1, *(1 for _ in self.image.shape[1:]))
            inputs = (self.baseline.double() + places * difference).to(self.image.dtype)
            _, gradients = self.replays.class_gradients(self.target, inputs)
            total += gradients.double().sum(0)
            done += len(part)
            self.progress(done, len(shares), "integrated gradients")
        return total


def _score(replays: Replays, target: int, tensor: torch.Tensor) -> float:
    return float(replays.class_scores(tensor)[0, target])


def _incomplete(found: Completeness) -> tuple[str, ...]:
    if found.complete:
        return ()
    if found.gap is None:
        return (f"image and baseline have the same score, and the numbers sum to {found.total:.3g}",)
    return (f"the sum misses the difference of the scores by {percent(found.gap)} of it after {found.steps} steps",)

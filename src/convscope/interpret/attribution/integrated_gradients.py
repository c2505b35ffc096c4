"""Integrated gradients: the gradient averaged along the way from a baseline to the image, times their difference.

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

STEPS = (32, 64, 128)
"""Steps between the baseline and the image, tried in turn until the gap is at most COMPLETE."""

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
    for steps in (options.steps,) if options.steps else STEPS:
        values = _integrated(subject, replays, target, image, baseline, steps, options.progress)
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


def _integrated(
    subject: Subject,
    replays: Replays,
    target: int,
    image: torch.Tensor,
    baseline: torch.Tensor,
    steps: int,
    progress: Progress,
) -> torch.Tensor:
    """Return the integrated gradients of the one image, (C, *S), in float64."""
    batch = gradient_batch(subject.replay.graph, steps)
    difference = (image - baseline).double()
    total = torch.zeros_like(difference[0])
    for first in range(0, steps, batch):
        shares = (torch.arange(first, min(first + batch, steps), dtype=torch.float64) + 0.5) / steps
        shares = shares.reshape(-1, *(1 for _ in image.shape[1:]))
        inputs = (baseline.double() + shares * difference).to(image.dtype)
        _, gradients = replays.class_gradients(target, inputs)
        total += gradients.double().sum(0)
        progress(min(first + batch, steps), steps, "integrated gradients")
    return difference[0] * total / steps


def _score(replays: Replays, target: int, tensor: torch.Tensor) -> float:
    return float(replays.class_scores(tensor)[0, target])


def _incomplete(found: Completeness) -> tuple[str, ...]:
    if found.complete:
        return ()
    if found.gap is None:
        return (f"image and baseline have the same score, and the numbers sum to {found.total:.3g}",)
    return (f"the sum misses the difference of the scores by {found.gap:.1%} after {found.steps} steps",)
